/** Devices through their own node: /dev/vfio/devices/vfioX. Beside drivers/vfio/device_cdev.c. */
import { IommufdFile } from "../iommufd/file.ts";
import { clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { checkZeroTail, type UserBlock } from "../kernel/user-memory.ts";
import { field, fieldOf, layout, offsetOfEnd } from "../uapi/layout.ts";
import { uuidAt } from "../uapi/uuid.ts";
import { DeviceFile, type VfioDevice } from "./device.ts";
import { attachSteps } from "./device-cdev-attach.ts";

const source = (name: string) => `drivers/vfio/device_cdev.c:${name}`;
const cdev = { since: "6.6", kconfig: ["VFIO_DEVICE_CDEV"] } as const;

export const rule = clauses({
  "VFIO-CDEV-OPEN-1": {
    ...cdev,
    rule: "a device's node can be opened any number of times, whatever the state of the device or its group",
    source: source("vfio_device_fops_cdev_open"),
  },
  "VFIO-CDEV-BIND-1": {
    ...cdev,
    rule: "the struct must be readable",
    errno: "EFAULT",
    source: source("vfio_df_ioctl_bind_iommufd"),
  },
  "VFIO-CDEV-BIND-2": {
    ...cdev,
    rule: "argsz must cover out_devid",
    errno: "EINVAL",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_BIND_IOMMUFD",
  },
  "VFIO-CDEV-BIND-3": {
    ...cdev,
    since: "6.17",
    rule: "bytes past the struct that the kernel knows must be zero",
    errno: "E2BIG",
    source: source("vfio_df_ioctl_bind_iommufd"),
  },
  "VFIO-CDEV-BIND-4": {
    ...cdev,
    rule: "unknown flags and a negative iommufd are refused",
    errno: "EINVAL",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_BIND_IOMMUFD",
  },
  "VFIO-CDEV-BIND-5": {
    ...cdev,
    rule: "only a file of the device's own node can be bound",
    errno: "EINVAL",
    source: source("vfio_df_ioctl_bind_iommufd"),
  },
  "VFIO-CDEV-BIND-6": {
    ...cdev,
    rule: "a file is bound once only",
    errno: "EINVAL",
    source: source("vfio_df_ioctl_bind_iommufd"),
  },
  "VFIO-CDEV-BIND-7": {
    ...cdev,
    since: "6.17",
    rule: "a token is only taken by a device that has one",
    errno: "EINVAL",
    source: source("vfio_df_check_token"),
  },
  "VFIO-CDEV-BIND-8": {
    ...cdev,
    rule: "the iommufd must be an open descriptor",
    errno: "EBADF",
    source: "drivers/iommu/iommufd/main.c:iommufd_ctx_from_fd",
  },
  "VFIO-CDEV-BIND-9": {
    ...cdev,
    rule: "the iommufd must be one",
    errno: "EBADFD",
    source: "drivers/iommu/iommufd/main.c:iommufd_ctx_from_fd",
  },
  "VFIO-CDEV-BIND-10": {
    ...cdev,
    rule: "out_devid must be writable; otherwise nothing is bound",
    errno: "EFAULT",
    source: source("vfio_df_ioctl_bind_iommufd"),
  },
  "VFIO-CDEV-BIND-11": {
    ...cdev,
    rule: "out_devid brings the device's id in the iommufd, and the file has access from now on",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_BIND_IOMMUFD",
    observable: "output",
  },
  "VFIO-CDEV-BIND-12": {
    ...cdev,
    since: "6.17",
    rule: "the token must be readable",
    errno: "EFAULT",
    source: source("vfio_df_check_token"),
  },
});

const FLAG_TOKEN = 1;

const Uuid = layout("uuid", {
  low: field.value64(0x1122_3344_5566_7788n, 0),
  high: field.value64(0x0102_0304_0506_0708n, 0),
});

const BindIommufd = layout("vfio_device_bind_iommufd", {
  argsz: field.argsz(),
  flags: field.flags({ VFIO_DEVICE_BIND_FLAG_TOKEN: FLAG_TOKEN }),
  iommufd: field.fd("iommufd"),
  out_devid: field.out32("devid"),
  token_uuid_ptr: field.later(field.pointer(Uuid)),
});
const BIND_MINSZ = offsetOfEnd(BindIommufd, "out_devid");
const OUT_DEVID = fieldOf(BindIommufd, "out_devid").offset;

export const bindIommufd = ioctl<DeviceFile>({
  name: "VFIO_DEVICE_BIND_IOMMUFD",
  request: vfioRequest(118),
  argument: { kind: "struct", layout: BindIommufd },
  on: ["device"],
  since: "6.6",
  weight: 3,
  useful: (_k, file) => file.group === null && !file.accessGranted,
  *run(k, file, { block, at }): Operation<number> {
    const userSize = k.deviceCdev.bindHeader(k, block);
    const flags = block.u32(4);
    const iommufd = block.s32(8);
    const known = k.since("6.17") ? FLAG_TOKEN : 0;
    must(iommufd >= 0 && (flags & ~known) === 0, rule["VFIO-CDEV-BIND-4"]);
    must(file.group === null, rule["VFIO-CDEV-BIND-5"]);

    const { device } = file;
    yield* k.group.block(k, device.group);
    try {
      using _ = yield* k.lock(device.devSet.lock);
      must(!file.accessGranted, rule["VFIO-CDEV-BIND-6"]);
      if (!k.since("6.17")) {
        k.deviceCdev.checkToken(k, device, null);
      } else {
        // The caller's struct may end within the pointer: what is not there counts as zero.
        const bits = 8 * Math.min(8, userSize - BIND_MINSZ);
        const tokenBlock = flags & FLAG_TOKEN ? at(BigInt.asUintN(bits, block.u64(BIND_MINSZ))) : null;
        k.deviceCdev.checkToken(k, device, tokenBlock);
      }
      const other = k.fds.get(iommufd);
      must(other !== undefined, rule["VFIO-CDEV-BIND-8"]);
      must(other instanceof IommufdFile, rule["VFIO-CDEV-BIND-9"]);
      file.iommufd = other.context;
      other.context.refs++;
      try {
        yield* k.deviceCdev.takeKvm(k, file);
        yield* k.vfio.open(k, file);
        try {
          block.put(OUT_DEVID, 4, file.devid, rule["VFIO-CDEV-BIND-10"]);
        } catch (refusal) {
          yield* k.vfio.close(k, file);
          file.devid = 0;
          throw refusal;
        }
      } catch (refusal) {
        k.deviceCdev.dropKvm(k, device);
        k.iommufd.put(k, other.context);
        file.iommufd = null;
        throw refusal;
      }
      k.deviceCdev.opened(device);
      file.accessGranted = true;
      k.keeps(rule["VFIO-CDEV-BIND-11"]);
      return 0;
    } catch (refusal) {
      yield* k.group.unblock(k, device.group);
      throw refusal;
    }
  },
});

export const steps = {
  ...attachSteps,

  /** vfio_device_fops_cdev_open */
  open(k: Kernel, device: VfioDevice, mode: number): DeviceFile {
    device.registrations++;
    try {
      k.alloc();
    } catch (refusal) {
      device.registrations--;
      throw refusal;
    }
    k.keeps(rule["VFIO-CDEV-OPEN-1"]);
    return new DeviceFile(device, null, mode);
  },

  /** What BIND checks of the struct as a whole; gives the size that the caller knows. 6.17 brought copy_struct_from_user. */
  bindHeader(k: Kernel, block: UserBlock): number {
    if (!k.since("6.17")) {
      block.copyFrom(BIND_MINSZ, rule["VFIO-CDEV-BIND-1"]);
      must(block.u32(0) >= BIND_MINSZ, rule["VFIO-CDEV-BIND-2"]);
      return BIND_MINSZ;
    }
    block.copyFrom(4, rule["VFIO-CDEV-BIND-1"]);
    const userSize = block.u32(0);
    must(userSize >= BIND_MINSZ, rule["VFIO-CDEV-BIND-2"]);
    checkZeroTail(block, BindIommufd.size, userSize, rule["VFIO-CDEV-BIND-1"], rule["VFIO-CDEV-BIND-3"]);
    block.copyFrom(Math.min(userSize, BindIommufd.size), rule["VFIO-CDEV-BIND-1"]);
    return userSize;
  },

  /** vfio_df_check_token: kernels before 6.17 take no token, and have no way for those who need one. */
  checkToken(k: Kernel, { ops }: VfioDevice, token: UserBlock | null): void {
    must(token === null || ops.matchToken !== undefined, rule["VFIO-CDEV-BIND-7"]);
    token?.copyFrom(Uuid.size, rule["VFIO-CDEV-BIND-12"]);
    ops.matchToken?.(k, token && uuidAt(token.bytes, 0));
  },

  /** vfio_df_get_kvm_safe: a device that somebody else has open has its VM already. */
  *takeKvm(k: Kernel, file: DeviceFile): Operation<void> {
    if (file.device.openCount > 0) return;
    using _ = yield* k.lock(file.kvmRefLock);
    k.vfio.getKvm(k, file.device, file.kvm);
  },

  /** BIND failed: only what this call took is put back, not the VM of a device that somebody else has open. */
  dropKvm(k: Kernel, device: VfioDevice): void {
    if (device.openCount === 0) k.vfio.putKvm(k, device);
  },

  /** The device is in use through its node from now on. */
  opened(device: VfioDevice): void {
    device.cdevOpened = true;
  },

  /** vfio_df_unbind_iommufd */
  *unbind(k: Kernel, file: DeviceFile): Operation<void> {
    if (!file.accessGranted) return;
    const { device } = file;
    {
      using _ = yield* k.lock(device.devSet.lock);
      yield* k.vfio.close(k, file);
      k.vfio.putKvm(k, device);
      if (file.iommufd) k.iommufd.put(k, file.iommufd);
      device.cdevOpened = false;
    }
    yield* k.group.unblock(k, device.group);
  },
};
