/**
 * BAR 2 of a virtual accelerator: the portals of its queue, mapped by a guest that submits by itself, or written by its VMM in
 * its place. Beside the series' idxd_vdcm_mmap, and vidxd_portal_mmio_write of its last version.
 */
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { PAGE } from "../../kernel/memory-map.ts";
import type { DeviceFile, VfioDevice } from "../../vfio/device.ts";
import { REGION_SIZE } from "../../vfio/device-info.ts";
import { DESCRIPTOR, decode } from "./descriptor.ts";
import type { WorkQueue } from "./host.ts";
import { BAR2_SIZE } from "./registers.ts";
import { DEVICE_MAIL, IDXD, LINE_MAIL, REVIEW_MAIL, spec } from "./sources.ts";
import type { VirtualDsa } from "./virtual-device.ts";

export const rule = clauses({
  "IDXD-PORTAL-1": { ...IDXD, rule: "only portals can be mapped", errno: "EINVAL", source: DEVICE_MAIL },
  "IDXD-PORTAL-2": {
    ...IDXD,
    rule: "one page is mapped, of a portal that the device has: behind it are those of other queues",
    errno: "EINVAL",
    source: REVIEW_MAIL,
  },
  "IDXD-PORTAL-3": {
    ...IDXD,
    rule: "the portal of the device's own queue is mapped; of a shared one the limited portal, whichever was asked for",
    source: DEVICE_MAIL,
    observable: "internal",
  },
  "IDXD-PORTAL-4": {
    ...IDXD,
    rule: "a descriptor is written at once, 64 bytes at a multiple of 64, to a portal that the device has",
    errno: "EINVAL",
    source: spec("Portals"),
  },
  "IDXD-PORTAL-5": { ...IDXD, rule: "portals read as ones", source: spec("Portals"), observable: "output" },
  "IDXD-PORTAL-6": {
    ...IDXD,
    rule: "a shared queue that is not enabled takes no descriptor, and says so",
    errno: "EAGAIN",
    source: spec("Shared Work Queue"),
  },
  "IDXD-PORTAL-7": {
    ...IDXD,
    rule: "a dedicated queue that is not enabled drops what is written to it",
    source: spec("Dedicated Work Queue"),
    observable: "later-call",
  },
  "IDXD-PORTAL-8": {
    ...IDXD,
    rule: "a descriptor for a shared queue carries a PASID that the guest has been given",
    errno: "EINVAL",
    source: LINE_MAIL,
  },
  "IDXD-PORTAL-9": {
    ...IDXD,
    rule: "the descriptor must be readable",
    errno: "EFAULT",
    source: DEVICE_MAIL,
  },
});

/** A portal that is mapped into a process. */
export interface PortalMapping {
  readonly queue: WorkQueue;
  readonly limited: boolean;
  readonly pages: number;
}

export const portalSteps = {
  /** idxd_vdcm_mmap */
  mapPortal(k: Kernel, device: VirtualDsa, _file: DeviceFile, length: number, position: number): number {
    must(Math.floor(position / REGION_SIZE) === 2, rule["IDXD-PORTAL-1"]);
    const offset = position % REGION_SIZE;
    k.idxd.checkPortal(offset, length);
    const { queue } = device;
    const limited = !queue.dedicated || offset === PAGE;
    device.portals.push({ queue, limited, pages: Math.ceil(length / PAGE) });
    k.keeps(rule["IDXD-PORTAL-3"]);
    return k.chooseAddress();
  },

  /** Whether so much of BAR 2 may be mapped. */
  checkPortal(offset: number, length: number): void {
    must(offset < BAR2_SIZE && length <= PAGE, rule["IDXD-PORTAL-2"]);
  },

  /** vidxd_portal_mmio_write: the descriptor goes to the queue as if the guest had written it there. */
  submit(k: Kernel, file: VfioDevice, device: VirtualDsa, offset: number, bytes: DataView): void {
    must(offset + DESCRIPTOR <= BAR2_SIZE && offset % DESCRIPTOR === 0, rule["IDXD-PORTAL-4"]);
    const { queue } = device;
    const descriptor = decode(bytes);
    if (!k.idxd.queueState(device)) {
      must(queue.dedicated, rule["IDXD-PORTAL-6"]);
      k.keeps(rule["IDXD-PORTAL-7"]);
      return;
    }
    const pasid = queue.dedicated ? queue.pasid : k.idxd.hostPasid(device, descriptor.pasid);
    must(pasid !== null && pasid !== undefined, rule["IDXD-PORTAL-8"]);
    k.idxd.execute(k, file, device, descriptor, pasid);
  },
};
