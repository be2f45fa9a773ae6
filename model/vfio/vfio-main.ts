/** The VFIO core: opening and closing devices, and the device file's own dispatch. Beside drivers/vfio/vfio_main.c. */

import { type Clause, clauses, must, refuse } from "../kernel/clause.ts";
import type { Transfer } from "../kernel/file.ts";
import type { Argument, Ioctl } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Blocked, type Operation, Unmodelled, Wait } from "../kernel/operation.ts";
import type { Vm } from "../kvm/kvm.ts";
import { type Backing, type DeviceFile, DeviceSet, VfioDevice, type VfioDeviceOps } from "./device.ts";
import { bindIommufd } from "./device-cdev.ts";
import { attachIommufdPt, detachIommufdPt } from "./device-cdev-attach.ts";
import { deviceFeature } from "./feature.ts";

const source = (name: string) => `drivers/vfio/vfio_main.c:${name}`;

export const rule = clauses({
  "VFIO-DEV-GATE-1": {
    rule: "until access is granted every command but VFIO_DEVICE_BIND_IOMMUFD is refused, whatever its argument",
    errno: "EINVAL",
    source: source("vfio_device_fops_unl_ioctl"),
    since: "6.6",
  },
  "VFIO-DEV-GATE-2": {
    rule: "until access is granted the device can't be read or written",
    errno: "EINVAL",
    source: source("vfio_device_fops_read"),
    since: "6.6",
  },
  "VFIO-DEV-GATE-3": {
    rule: "until access is granted the device can't be mapped",
    errno: "EINVAL",
    source: source("vfio_device_fops_mmap"),
    since: "6.6",
  },
  "VFIO-DEV-BIND-1": {
    rule: "a kernel without device nodes knows nothing of binding",
    errno: "ENOTTY",
    source: "drivers/vfio/vfio.h:vfio_df_ioctl_bind_iommufd",
    since: "6.6",
    kconfig: ["!VFIO_DEVICE_CDEV"],
  },
  "VFIO-DEV-OPEN-1": {
    rule: "a device that is open, in whatever way, can't be bound through its node",
    errno: "EINVAL",
    source: source("vfio_df_open"),
    since: "6.6",
  },
  "VFIO-DEV-LEAVE-1": {
    rule: "whoever takes a device from its driver waits until the last file of it is closed",
    source: source("vfio_unregister_group_dev"),
    observable: "later-call",
  },
  "VFIO-DEV-LEAVE-2": {
    rule: "meanwhile the user is asked for the device through the eventfd that he has set for that, at once and from time to time",
    source: "include/uapi/linux/vfio.h:VFIO_PCI_REQ_IRQ_INDEX",
    observable: "later-call",
  },
  "VFIO-DEV-LEAVE-3": {
    rule: "files of a device that is being taken away go on working",
    source: source("vfio_unregister_group_dev"),
  },
  "VFIO-DEV-LEAVE-4": {
    rule: "a device that is being taken away can't be opened through its group any more",
    errno: "ENODEV",
    source: source("vfio_unregister_group_dev"),
    kconfig: ["VFIO_GROUP"],
  },
  "VFIO-DEV-KVM-1": {
    rule: "a device takes the VM that was told of its group or file when it is opened, and keeps it alive until it is closed",
    source: source("vfio_device_get_kvm_safe"),
    since: "6.3",
    observable: "later-call",
  },
  "VFIO-DEV-MMAP-1": {
    rule: "a device whose driver maps nothing refuses to be mapped",
    errno: "EINVAL",
    source: source("vfio_device_fops_mmap"),
  },
});

/** What those wait for who take a device away. */
const lastFileOf = (name: string): string => `the last file of ${name} to be closed`;

export const steps = {
  /** Registers a device with its group: __vfio_register_dev. */
  register(
    k: Kernel,
    name: string,
    ops: VfioDeviceOps,
    backing: Backing,
    devSet: DeviceSet = new DeviceSet(),
  ): VfioDevice {
    const group = k.group.setGroup(k, backing);
    group.drivers++;
    const device = new VfioDevice(name, ops, backing, group, devSet);
    group.devices.push(device);
    return device;
  },

  /** Whoever takes a device away waits for its users, which ends a program that has no other task to do so. */
  mayWaitFor(k: Kernel, { registrations, name, ops }: VfioDevice): void {
    if (registrations === 0) return;
    if (!k.task.mayWait) throw new Blocked(lastFileOf(name));
    if ((ops.requestChannel?.()?.waiters.length ?? 0) > 0)
      throw new Unmodelled("how often a request does more than count");
  },

  /** vfio_unregister_group_dev: waits until nobody has the device open any more. */
  *unregister(k: Kernel, device: VfioDevice): Operation<void> {
    k.vfio.mayWaitFor(k, device);
    device.group.leaving.push(device);
    yield* k.vfio.hide(k, device);
    yield* k.vfio.awaitUsers(k, device);
    device.group.leaving.splice(device.group.leaving.indexOf(device), 1);
    yield* k.group.removeDevice(k, device);
    using _ = yield* k.lock(device.devSet.lock);
    device.devSet.devices.splice(device.devSet.devices.indexOf(device), 1);
  },

  /** vfio_device_group_unregister and vfio_device_del: nobody finds the device any more, by name or by node. */
  *hide(k: Kernel, device: VfioDevice): Operation<void> {
    using _ = yield* k.lock(device.group.deviceLock);
    device.group.devices.splice(device.group.devices.indexOf(device), 1);
    device.registered = false;
  },

  /** The user is asked for the device until its last file is closed. */
  *awaitUsers(k: Kernel, device: VfioDevice): Operation<void> {
    if (device.registrations === 0) return;
    k.vfio.request(k, device);
    k.keeps(rule["VFIO-DEV-LEAVE-1"]);
    yield new Wait(lastFileOf(device.name), () => device.registrations === 0);
  },

  /** vfio_pci_core_request */
  request(k: Kernel, { ops }: VfioDevice): void {
    const channel = ops.requestChannel?.();
    if (!channel) return;
    channel.signal();
    channel.counting = true;
    k.keeps(rule["VFIO-DEV-LEAVE-2"]);
  },

  /** vfio_df_open */
  *open(k: Kernel, file: DeviceFile): Operation<void> {
    const { device } = file;
    must(device.openCount === 0 || file.group !== null, rule["VFIO-DEV-OPEN-1"]);
    device.openCount++;
    if (device.openCount > 1) return;
    try {
      yield* k.vfio.firstOpen(k, file);
    } catch (refusal) {
      device.openCount--;
      throw refusal;
    }
  },

  /** vfio_df_device_first_open */
  *firstOpen(k: Kernel, file: DeviceFile): Operation<void> {
    if (file.iommufd) {
      // A group's open returns no id to user space.
      const devid = yield* k.vfioIommufd.bind(k, file.device, file.iommufd, file.group ? null : undefined);
      try {
        yield* k.vfio.openDevice(k, file.device);
      } catch (refusal) {
        yield* k.vfioIommufd.unbind(k, file.device);
        throw refusal;
      }
      file.devid = devid;
      file.device.openedWith = "iommufd";
      return;
    }
    const { group } = file.device;
    k.group.mayUseContainer(k, group);
    k.group.useContainer(group);
    try {
      yield* k.vfio.openDevice(k, file.device);
    } catch (refusal) {
      k.group.unuseContainer(k, group);
      throw refusal;
    }
    file.device.openedWith = "container";
    if (!group.container?.iommu) return;
    using _ = yield* k.lock(group.container.iommu.lock);
  },

  /** The driver's open_device */
  *openDevice(k: Kernel, device: VfioDevice): Operation<void> {
    if (device.ops.open) yield* device.ops.open(k, device);
  },

  /** vfio_df_close */
  *close(k: Kernel, file: DeviceFile): Operation<void> {
    if (file.device.openCount === 1) yield* k.vfio.lastClose(k, file);
    file.device.openCount--;
  },

  /**
   * vfio_df_device_last_close: undoes what the first open did, whichever file is the last to be closed. A group may have
   * got a container in place of its iommufd meanwhile.
   */
  *lastClose(k: Kernel, file: DeviceFile): Operation<void> {
    const { device } = file;
    if (device.ops.close) yield* device.ops.close(k, device);
    if (device.ops.migration) device.ops.migration.precopyInfoV2 = false;
    if (device.openedWith === "iommufd") yield* k.vfioIommufd.unbind(k, device);
    else k.group.unuseContainer(k, device.group);
    device.openedWith = null;
  },

  /** vfio_device_get_kvm_safe: the open device keeps the VM that was recorded for it. */
  getKvm(k: Kernel, device: VfioDevice, vm: Vm | null): void {
    if (!vm || vm.refs === 0) return;
    vm.refs++;
    device.kvm = vm;
    k.keeps(rule["VFIO-DEV-KVM-1"]);
  },

  /** vfio_device_put_kvm */
  putKvm(k: Kernel, device: VfioDevice): void {
    if (!device.kvm) return;
    k.kvm.put(k, device.kvm);
    device.kvm = null;
  },

  /** vfio_device_fops_release */
  *release(k: Kernel, file: DeviceFile): Operation<void> {
    if (file.group) yield* k.group.closeDevice(k, file);
    else yield* k.deviceCdev.unbind(k, file);
    file.device.registrations--;
  },

  /** vfio_device_fops_unl_ioctl */
  deviceIoctl(k: Kernel, file: DeviceFile, command: Ioctl, arg: Argument): Operation<number> {
    if (k.since("6.6")) {
      if (command.request === bindIommufd.request) {
        return k.has("VFIO_DEVICE_CDEV") ? bindIommufd.run(k, file, arg) : refuse(rule["VFIO-DEV-BIND-1"]);
      }
      k.vfio.gate(k, file, rule["VFIO-DEV-GATE-1"]);
    }
    if (!file.device.registered) k.keeps(rule["VFIO-DEV-LEAVE-3"]);
    file.device.ops.resume?.(k, file.device);
    if (k.since("6.6")) {
      if (!file.group) {
        if (command.request === attachIommufdPt.request) return attachIommufdPt.run(k, file, arg);
        if (command.request === detachIommufdPt.request) return detachIommufdPt.run(k, file, arg);
      }
    }
    if (command.request === deviceFeature.request) return k.feature.run(k, file, arg);
    return file.device.ops.ioctl(k, file, command, arg);
  },

  /** Nothing but BIND passes before the device is opened for this file. */
  gate(_k: Kernel, file: DeviceFile, refusedBy: Clause): void {
    must(file.accessGranted, refusedBy);
  },

  /** vfio_device_fops_read. A read that fails leaves the file's position where it was. */
  *read(k: Kernel, file: DeviceFile, io: Transfer): Operation<number> {
    k.vfio.gate(k, file, rule["VFIO-DEV-GATE-2"]);
    const done = yield* file.device.ops.read(k, io, io.offset ?? file.position, file.device);
    if (io.offset === null) file.position += done;
    return done;
  },

  /** vfio_device_fops_write */
  *write(k: Kernel, file: DeviceFile, io: Transfer): Operation<number> {
    k.vfio.gate(k, file, rule["VFIO-DEV-GATE-2"]);
    const done = yield* file.device.ops.write(k, io, io.offset ?? file.position, file.device);
    if (io.offset === null) file.position += done;
    return done;
  },

  /** vfio_device_fops_mmap */
  *mmap(k: Kernel, file: DeviceFile, length: number, offset: number, shared: boolean): Operation<number> {
    k.vfio.gate(k, file, rule["VFIO-DEV-GATE-3"]);
    const { ops } = file.device;
    must(ops.mmap !== undefined, rule["VFIO-DEV-MMAP-1"]);
    return yield* ops.mmap(k, file, length, offset, shared);
  },
};
