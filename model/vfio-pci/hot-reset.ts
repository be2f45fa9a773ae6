/** Hot reset: a reset of a whole bus or slot, by a user who owns all of it. Beside drivers/vfio/pci/vfio_pci_core.c. */
import type { IommufdContext } from "../iommufd/objects.ts";
import { clauses, must } from "../kernel/clause.ts";
import type { File } from "../kernel/file.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Lock } from "../kernel/lock.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import type { PciFunction } from "../pci/function.ts";
import { locksOf, tryLock } from "../pci/locks.ts";
import { field, layout, offsetOfEnd } from "../uapi/layout.ts";
import type { DeviceFile, VfioDevice } from "../vfio/device.ts";
import { GroupFile, type VfioGroup } from "../vfio/group.ts";
import { steps as affectedSteps, canHotReset } from "./affected.ts";
import { steps as infoSteps } from "./hot-reset-info.ts";
import { functionOf } from "./pci-device.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_core.c:${name}`;
const header = (name: string) => `include/uapi/linux/vfio.h:${name}`;

export const rule = clauses({
  "VFIO-PCI-HOTRESET-1": {
    rule: "the struct must be readable up to count",
    errno: "EFAULT",
    source: source("vfio_pci_ioctl_pci_hot_reset"),
  },
  "VFIO-PCI-HOTRESET-2": {
    rule: "argsz must cover count",
    errno: "EINVAL",
    source: source("vfio_pci_ioctl_pci_hot_reset"),
  },
  "VFIO-PCI-HOTRESET-3": {
    rule: "no flag is known",
    errno: "EINVAL",
    source: source("vfio_pci_ioctl_pci_hot_reset"),
  },
  "VFIO-PCI-HOTRESET-4": {
    rule: "a device that was opened through its own node proves ownership by its iommufd, and takes no descriptors",
    errno: "EINVAL",
    source: header("VFIO_DEVICE_PCI_HOT_RESET"),
    since: "6.6",
  },
  "VFIO-PCI-HOTRESET-5": {
    rule: "a device that was opened through its group needs descriptors of groups",
    errno: "EINVAL",
    source: header("VFIO_DEVICE_PCI_HOT_RESET"),
  },
  "VFIO-PCI-HOTRESET-6": {
    rule: "a function whose bus or slot can't be reset has no hot reset",
    errno: "ENODEV",
    source: source("vfio_pci_ioctl_pci_hot_reset"),
  },
  "VFIO-PCI-HOTRESET-7": {
    rule: "there can't be more descriptors than functions that are hit",
    errno: "EINVAL",
    source: source("vfio_pci_ioctl_pci_hot_reset_groups"),
  },
  "VFIO-PCI-HOTRESET-8": {
    rule: "the descriptors must be readable",
    errno: "EFAULT",
    source: source("vfio_pci_ioctl_pci_hot_reset_groups"),
  },
  "VFIO-PCI-HOTRESET-9": {
    rule: "every descriptor must be open; the first bad one decides",
    errno: "EBADF",
    source: source("vfio_pci_ioctl_pci_hot_reset_groups"),
  },
  "VFIO-PCI-HOTRESET-10": {
    rule: "every descriptor must be that of a group; the first bad one decides",
    errno: "EINVAL",
    source: source("vfio_pci_ioctl_pci_hot_reset_groups"),
  },
  "VFIO-PCI-HOTRESET-11": {
    rule: "every function that is hit must be bound to vfio-pci",
    errno: "EINVAL",
    source: source("vfio_pci_dev_set_resettable"),
  },
  "VFIO-PCI-HOTRESET-12": {
    rule: "every device that is hit must belong to one of the groups given",
    errno: "EINVAL",
    source: source("vfio_pci_dev_set_hot_reset"),
  },
  "VFIO-PCI-HOTRESET-13": {
    rule: "every device that is hit must be owned by the caller's iommufd",
    errno: "EINVAL",
    source: source("vfio_pci_dev_set_hot_reset"),
    since: "6.6",
    unseen:
      "functions that are reset together share their group on every machine of the suite, and a group has one owner",
  },
  "VFIO-PCI-HOTRESET-14": {
    rule: "nobody may be changing whether the memory of a device that is hit answers",
    errno: "EBUSY",
    source: source("vfio_pci_dev_set_hot_reset"),
    unseen: "programs have one task",
  },
  "VFIO-PCI-HOTRESET-15": {
    rule: "no function that is hit may be in the middle of a bind, an unbind or another reset",
    errno: "EAGAIN",
    source: "drivers/pci/pci.c:pci_reset_bus",
  },
  "VFIO-PCI-HOTRESET-16": {
    rule: "a reset that the bus does not come back from in time is told, and has happened all the same",
    errno: "ENOTTY",
    partial: true,
    source: "drivers/pci/pci.c:pci_bridge_wait_for_secondary_bus",
  },
  "VFIO-PCI-HOTRESET-17": {
    rule: "everything on the bus or in the slot is reset, and stays open",
    source: header("VFIO_DEVICE_PCI_HOT_RESET"),
  },
});

const HotReset = layout(
  "vfio_pci_hot_reset",
  { argsz: field.argsz(), flags: field.flags(), count: field.value32(1, 0, 2, 3, 8) },
  { name: "group_fds", width: 4, signed: true, meaning: { kind: "fd", of: ["group"] }, count: "count" },
);

const MINSZ = offsetOfEnd(HotReset, "count");

/** How a caller shows that the devices are his. */
export type Proof =
  | { readonly kind: "groups"; readonly groups: readonly VfioGroup[] }
  | { readonly kind: "iommufd"; readonly context: IommufdContext };

export const pciHotReset = ioctl<DeviceFile>({
  name: "VFIO_DEVICE_PCI_HOT_RESET",
  request: vfioRequest(113),
  argument: { kind: "struct", layout: HotReset },
  on: ["device"],
  useful: canHotReset,
  *run(k, file, { block }): Operation<number> {
    const { device } = file;
    block.copyFrom(MINSZ, rule["VFIO-PCI-HOTRESET-1"]);
    must(block.u32(0) >= MINSZ, rule["VFIO-PCI-HOTRESET-2"]);
    must(block.u32(4) === 0, rule["VFIO-PCI-HOTRESET-3"]);
    const count = block.u32(8);
    if (k.since("6.6")) k.hotReset.checkCount(device, count);
    const scope = k.hotReset.scope(functionOf(device));
    must(scope !== null, rule["VFIO-PCI-HOTRESET-6"]);
    if (device.cdevOpened && device.iommufdDevice) {
      yield* k.hotReset.reset(k, device, { kind: "iommufd", context: device.iommufdDevice.context });
      return 0;
    }
    must(count > 0, rule["VFIO-PCI-HOTRESET-5"]);
    must(count <= k.hotReset.affected(k, scope).length, rule["VFIO-PCI-HOTRESET-7"]);
    block.copyFrom(MINSZ + 4 * count, rule["VFIO-PCI-HOTRESET-8"], MINSZ);
    yield* k.hotReset.resetByGroups(k, device, block, count);
    return 0;
  },
});

export const steps = {
  ...affectedSteps,
  ...infoSteps,

  /** Since 6.6 how the device was opened decides, before anything else, whether descriptors must be given. */
  checkCount(device: VfioDevice, count: number): void {
    if (device.cdevOpened) must(count === 0, rule["VFIO-PCI-HOTRESET-4"]);
    else must(count > 0, rule["VFIO-PCI-HOTRESET-5"]);
  },

  /** vfio_pci_ioctl_pci_hot_reset_groups: holds the groups' files over the reset. */
  *resetByGroups(k: Kernel, device: VfioDevice, block: UserBlock, count: number): Operation<void> {
    const held: File[] = [];
    const groups: VfioGroup[] = [];
    try {
      k.alloc();
      for (let i = 0; i < count; i++) {
        const file = k.fds.get(block.s32(MINSZ + 4 * i));
        must(file !== undefined, rule["VFIO-PCI-HOTRESET-9"]);
        must(file instanceof GroupFile, rule["VFIO-PCI-HOTRESET-10"]);
        file.refs++;
        held.push(file);
        groups.push(file.group);
      }
      yield* k.hotReset.reset(k, device, { kind: "groups", groups });
    } finally {
      for (const file of held) k.putFile(file);
    }
  },

  /** vfio_pci_dev_set_hot_reset */
  *reset(k: Kernel, device: VfioDevice, proof: Proof): Operation<void> {
    using _ = yield* k.lock(device.devSet.lock);
    const affected = k.hotReset.resettable(k, device);
    must(affected !== null, rule["VFIO-PCI-HOTRESET-11"]);
    k.hotReset.wake(k, affected);
    const held: Lock[] = [];
    try {
      for (const member of device.devSet.devices) {
        k.hotReset.checkOwned(k, member, proof);
        const memory = tryLock(k, locksOf(functionOf(member)).memory);
        must(memory !== null, rule["VFIO-PCI-HOTRESET-14"]);
        held.push(memory);
      }
      for (const pciFunction of affected) {
        const lock = tryLock(k, locksOf(pciFunction).device);
        must(lock !== null, rule["VFIO-PCI-HOTRESET-15"]);
        held.push(lock);
      }
      const comesBack = k.hotReset.busComesBack(functionOf(device));
      k.hotReset.resetRegisters(k, affected, comesBack);
      for (const pciFunction of affected) yield* k.vfioPci.takeBuffersBack(k, pciFunction);
      for (const pciFunction of affected) yield* k.vfioPci.resetDone(k, pciFunction);
      for (const pciFunction of affected) k.vfioPci.returnBuffers(k, pciFunction);
      must(comesBack, rule["VFIO-PCI-HOTRESET-16"]);
      k.keeps(rule["VFIO-PCI-HOTRESET-17"]);
    } finally {
      for (const lock of held.reverse()) lock[Symbol.dispose]();
    }
  },

  /** vfio_pci_dev_set_resettable: the functions that are hit, or null when one of them is outside the set. */
  resettable(k: Kernel, device: VfioDevice): PciFunction[] | null {
    const scope = k.hotReset.scope(functionOf(device));
    if (scope === null) return null;
    const functions: PciFunction[] = [];
    for (const { function: hit } of k.hotReset.affected(k, scope)) {
      if (!hit?.vfio || !device.devSet.devices.includes(hit.vfio)) return null;
      functions.push(hit);
    }
    return functions;
  },

  /** vfio_pci_dev_set_pm_runtime_get */
  wake(k: Kernel, affected: readonly PciFunction[]): void {
    for (const pciFunction of affected) k.vfioPci.resume(k, pciFunction);
  },

  /** Refuses a device of the set that the caller has not shown to be his. */
  checkOwned(k: Kernel, member: VfioDevice, proof: Proof): void {
    if (proof.kind === "groups") must(proof.groups.includes(member.group), rule["VFIO-PCI-HOTRESET-12"]);
    else must(k.hotReset.ownedId(member, proof.context) !== null, rule["VFIO-PCI-HOTRESET-13"]);
  },

  /** Functions that a hot reset hits are in full power before. */
  resetRegisters(k: Kernel, affected: readonly PciFunction[], comesBack: boolean): void {
    for (const { config, strays } of affected) {
      if (comesBack || (config === null && strays.size === 0)) continue;
      throw new Unmodelled("registers of functions after a reset that the bus does not come back from");
    }
    for (const pciFunction of affected) k.vfioPci.resetRegisters(k, pciFunction);
  },

  /** pci_reset_bus */
  busComesBack(pciFunction: PciFunction): boolean {
    return pciFunction.spec.hotResetWorks;
  },
};
