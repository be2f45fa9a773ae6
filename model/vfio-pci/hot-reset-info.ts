/** VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: what a hot reset would hit. Beside drivers/vfio/pci/vfio_pci_core.c. */
import type { IommufdContext } from "../iommufd/objects.ts";
import { clauses, must, refuse } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { BLOCK_SIZE } from "../kernel/memory-map.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { field, layout, offsetOfEnd } from "../uapi/layout.ts";
import type { DeviceFile, VfioDevice } from "../vfio/device.ts";
import { type Affected, canHotReset, DEVID_OWNED } from "./affected.ts";
import { functionOf } from "./pci-device.ts";

const source = "drivers/vfio/pci/vfio_pci_core.c:vfio_pci_ioctl_get_pci_hot_reset_info";
const header = (name: string) => `include/uapi/linux/vfio.h:${name}`;

export const rule = clauses({
  "VFIO-PCI-HOTINFO-1": {
    rule: "the struct must be readable up to count",
    errno: "EFAULT",
    source,
  },
  "VFIO-PCI-HOTINFO-2": {
    rule: "argsz must cover count",
    errno: "EINVAL",
    source,
  },
  "VFIO-PCI-HOTINFO-3": {
    rule: "a function whose bus or slot can't be reset has no hot reset",
    errno: "ENODEV",
    source: header("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO"),
  },
  "VFIO-PCI-HOTINFO-4": {
    rule: "argsz must have room for every function that is hit; count says how many there are",
    errno: "ENOSPC",
    source: header("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO"),
  },
  "VFIO-PCI-HOTINFO-5": {
    rule: "the struct and its entries must be writable, and nothing is told by halves",
    errno: "EFAULT",
    source,
  },
  "VFIO-PCI-HOTINFO-6": {
    rule: "every function that is hit is listed, whatever its driver",
    source: header("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO"),
    observable: "output",
  },
  "VFIO-PCI-HOTINFO-7": {
    rule: "a device that was opened through its group is told group numbers, and no flag",
    source: header("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO"),
    observable: "output",
  },
  "VFIO-PCI-HOTINFO-8": {
    rule: "a device that was opened through its own node is told ids in its iommufd, and that they are ids",
    source: header("VFIO_PCI_HOT_RESET_FLAG_DEV_ID"),
    since: "6.6",
    observable: "output",
  },
  "VFIO-PCI-HOTINFO-9": {
    rule: "an unopened VFIO device in a group of which the iommufd has another is owned, and has id 0",
    source: header("VFIO_PCI_DEVID_OWNED"),
    since: "6.6",
    observable: "output",
  },
  "VFIO-PCI-HOTINFO-10": {
    rule: "a function outside the device set, or without ownership, has id -1 and takes the flag DEV_ID_OWNED away",
    source: header("VFIO_PCI_DEVID_NOT_OWNED"),
    since: "6.6",
    observable: "output",
  },
  "VFIO-PCI-HOTINFO-11": {
    rule: "a function that is in no group, and so not isolated, is told of nobody",
    errno: "EPERM",
    source: "drivers/vfio/pci/vfio_pci_core.c:vfio_pci_fill_devs",
    machine: "noiommu",
  },
});

const FLAG_DEV_ID = 1;
const FLAG_DEV_ID_OWNED = 2;
const DEVID_NOT_OWNED = -1;

/** sizeof(struct vfio_pci_dependent_device): group number or id, segment, bus, devfn */
const ENTRY_SIZE = 8;

const HotResetInfo = layout(
  "vfio_pci_hot_reset_info",
  { argsz: field.argsz(), flags: field.out32(), count: field.value32(2, 1, 0, 3, 8) },
  { name: "devices", width: ENTRY_SIZE, signed: false, meaning: { kind: "out" }, count: "count" },
);

const MINSZ = offsetOfEnd(HotResetInfo, "count");

export const getPciHotResetInfo = ioctl<DeviceFile>({
  name: "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO",
  request: vfioRequest(112),
  argument: { kind: "struct", layout: HotResetInfo },
  on: ["device"],
  useful: canHotReset,
  *run(k, file, { block }): Operation<number> {
    const { device } = file;
    block.copyFrom(MINSZ, rule["VFIO-PCI-HOTINFO-1"]);
    const argsz = block.u32(0);
    must(argsz >= MINSZ, rule["VFIO-PCI-HOTINFO-2"]);
    const scope = k.hotReset.scope(functionOf(device));
    must(scope !== null, rule["VFIO-PCI-HOTINFO-3"]);
    const affected = k.hotReset.affected(k, scope);
    const count = k.hotReset.count(affected);
    const end = MINSZ + count * ENTRY_SIZE;
    if (end > BLOCK_SIZE) throw new Unmodelled(`a hot reset that hits ${affected.length} functions`);

    k.alloc();
    const image = block.bytes.slice();
    const view = new DataView(image.buffer);
    view.setUint32(8, count, true);
    if (argsz < end) {
      view.setUint32(4, 0, true);
      block.copyTo(image, 0, MINSZ, rule["VFIO-PCI-HOTINFO-5"]);
      refuse(rule["VFIO-PCI-HOTINFO-4"]);
    }
    view.setUint32(4, yield* k.hotReset.list(k, device, affected, view), true);
    k.hotReset.answer(block, image, end);
    return 0;
  },
});

export const steps = {
  /** vfio_pci_count_devs, for all that is hit */
  count(affected: readonly Affected[]): number {
    return affected.length;
  },

  /** vfio_pci_fill_devs: stores an entry for all that is hit, and gives the flags. */
  *list(k: Kernel, device: VfioDevice, affected: readonly Affected[], view: DataView): Operation<number> {
    const context = device.cdevOpened && device.iommufdDevice ? device.iommufdDevice.context : null;
    using _ = k.since("6.6") ? yield* k.lock(device.devSet.lock) : null;
    let flags = context ? FLAG_DEV_ID | FLAG_DEV_ID_OWNED : 0;
    for (const [i, each] of affected.entries()) {
      const at = MINSZ + i * ENTRY_SIZE;
      if (context) {
        const devid = k.hotReset.devid(k, device, each, context);
        if (devid === DEVID_NOT_OWNED) flags &= ~FLAG_DEV_ID_OWNED;
        view.setInt32(at, devid, true);
      } else {
        must(each.group !== null, rule["VFIO-PCI-HOTINFO-11"]);
        view.setUint32(at, k.iommu.number(k, each.group, { at: "field", offset: at, width: 4 }), true);
      }
      view.setUint16(at + 4, each.segment, true);
      view.setUint8(at + 6, each.bus);
      view.setUint8(at + 7, each.devfn);
    }
    k.keeps(rule["VFIO-PCI-HOTINFO-6"]);
    k.keeps(context ? rule["VFIO-PCI-HOTINFO-8"] : rule["VFIO-PCI-HOTINFO-7"]);
    return flags;
  },

  /** The id that an entry has for an iommufd. */
  devid(k: Kernel, device: VfioDevice, { function: hit }: Affected, context: IommufdContext): number {
    const member = hit?.vfio;
    const devid = member && device.devSet.devices.includes(member) ? k.hotReset.ownedId(member, context) : null;
    if (devid === null) k.keeps(rule["VFIO-PCI-HOTINFO-10"]);
    else if (devid === DEVID_OWNED) k.keeps(rule["VFIO-PCI-HOTINFO-9"]);
    return devid ?? DEVID_NOT_OWNED;
  },

  /** Entries first: a caller who can't take them is told nothing. Before 6.6 the count was stored all the same. */
  answer(block: UserBlock, image: Uint8Array, end: number): void {
    block.copyTo(image, MINSZ, end, rule["VFIO-PCI-HOTINFO-5"]);
    block.copyTo(image, 0, MINSZ, rule["VFIO-PCI-HOTINFO-5"]);
  },
};
