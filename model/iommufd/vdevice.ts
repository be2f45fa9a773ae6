/** Virtual devices: which device of a VM a physical one is, IOMMU_VDEVICE_ALLOC. Beside drivers/iommu/iommufd/viommu.c. */
import { clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { field, fieldOf, layout } from "../uapi/layout.ts";
import { iommufdSource } from "./availability.ts";
import type { IommufdFile } from "./file.ts";
import { type AnyHwpt, Counted, type IommufdDevice } from "./objects.ts";
import { MOCK_VIOMMU, VIOMMU, type Viommu } from "./viommu.ts";

const source = iommufdSource("viommu", "iommufd_vdevice_alloc_ioctl");
const HEADER = "include/uapi/linux/iommufd.h:iommu_vdevice_alloc";

export const rule = clauses({
  "IOMMUFD-VDEVICE-1": {
    ...VIOMMU,
    rule: "viommu_id must be the id of a virtual IOMMU",
    errno: "ENOENT",
    source,
  },
  "IOMMUFD-VDEVICE-2": {
    ...MOCK_VIOMMU,
    rule: "dev_id must be the id of a physical device that is bound",
    errno: "ENOENT",
    source,
  },
  "IOMMUFD-VDEVICE-3": {
    ...MOCK_VIOMMU,
    rule: "a device joins a virtual IOMMU that is a part of its own",
    errno: "EINVAL",
    source,
    unseen: "a machine with two IOMMUs that can nest is none of the suite's",
  },
  "IOMMUFD-VDEVICE-4": {
    ...MOCK_VIOMMU,
    rule: "a device is one virtual device at a time, and a virtual id one device's",
    errno: "EEXIST",
    source,
  },
  "IOMMUFD-VDEVICE-5": {
    ...MOCK_VIOMMU,
    rule: "the struct must be writable; where it is not, nothing is made",
    errno: "EFAULT",
    source,
  },
  "IOMMUFD-VDEVICE-6": {
    ...MOCK_VIOMMU,
    rule: "out_vdevice_id brings the id of a new virtual device, which uses its virtual IOMMU as long as it is there",
    source: HEADER,
    observable: "output",
  },
  "IOMMUFD-VDEVICE-7": {
    ...MOCK_VIOMMU,
    since: "6.17",
    rule: "a virtual device goes with its physical one, and leaves an id that names nothing and is given to nobody else",
    source: HEADER,
    observable: "later-call",
  },
  "IOMMUFD-VDEVICE-8": {
    ...MOCK_VIOMMU,
    rule: "a page table of a virtual IOMMU takes only devices that have joined it",
    errno: "ENOENT",
    source: "drivers/iommu/iommufd/driver.c:iommufd_viommu_get_vdev_id",
  },
});

/** struct iommufd_vdevice */
export class Vdevice extends Counted {
  readonly kind = "vdevice";
  readonly viommu: Viommu;
  readonly device: IommufdDevice;
  readonly virtId: bigint;

  constructor(viommu: Viommu, device: IommufdDevice, virtId: bigint) {
    super(viommu.context);
    this.viommu = viommu;
    this.device = device;
    this.virtId = virtId;
    viommu.users++;
    viommu.vdevices.set(virtId, this);
    device.vdevice = this;
    // So that no driver finds the device unused; it goes all the same, and takes this with it.
    device.users++;
  }

  override trace(): number {
    return this.viommu.id * 31 + this.device.id;
  }
}

const VdeviceAlloc = layout("iommu_vdevice_alloc", {
  size: field.argsz(),
  viommu_id: field.id("viommu"),
  dev_id: field.id("devid"),
  out_vdevice_id: field.out32("vdevice"),
  virt_id: field.value64(2, 1, 2, 3, 0, 0xffff_ffff_ffffn),
});

const OUT_VDEVICE_ID = fieldOf(VdeviceAlloc, "out_vdevice_id").offset;
const CHOSEN_ID: ChoiceSite = { at: "field", offset: OUT_VDEVICE_ID, width: 4 };

export const vdeviceAlloc = ioctl<IommufdFile>({
  name: "IOMMU_VDEVICE_ALLOC",
  request: vfioRequest(0x91),
  argument: { kind: "struct", layout: VdeviceAlloc },
  on: ["iommufd"],
  since: "6.13",
  weight: 0.5,
  useful: (_k, { context }) => context.some("viommu"),
  *run(k, { context }, { block }): Operation<number> {
    using viommu = k.iommufdDevice.viommu(context, block.u32(4), rule["IOMMUFD-VDEVICE-1"]);
    using device = k.iommufdDevice.get(context, block.u32(8), rule["IOMMUFD-VDEVICE-2"]);
    must(viommu.driver === device.device.iommuDriver, rule["IOMMUFD-VDEVICE-3"]);
    const virtId = block.u64(16);
    using _ = yield* k.lock(device.igroup.lock);
    must(device.vdevice === null && !viommu.vdevices.has(virtId), rule["IOMMUFD-VDEVICE-4"]);
    k.alloc();
    must(block.canWrite(VdeviceAlloc.size), rule["IOMMUFD-VDEVICE-5"]);
    const vdevice = new Vdevice(viommu, device, virtId);
    context.publish(vdevice, k.iommufd.chooseId(k, context, CHOSEN_ID));
    block.put(OUT_VDEVICE_ID, 4, vdevice.id, rule["IOMMUFD-VDEVICE-5"]);
    k.keeps(rule["IOMMUFD-VDEVICE-6"]);
    return 0;
  },
});

export const steps = {
  /** iommufd_vdevice_destroy */
  *destroyVdevice(k: Kernel, vdevice: Vdevice): Operation<void> {
    const { viommu, device } = vdevice;
    using _ = yield* k.lock(device.igroup.lock);
    viommu.vdevices.delete(vdevice.virtId);
    viommu.users--;
    device.vdevice = null;
    device.users--;
  },

  /** iommufd_device_pre_destroy: the device goes. Its virtual one's id stays taken until the context goes (a tombstone). */
  *removeVdevice(k: Kernel, { vdevice, context }: IommufdDevice): Operation<void> {
    if (!vdevice) return;
    context.remove(vdevice);
    context.reservedIds.add(vdevice.id);
    yield* k.iommufdDevice.destroyVdevice(k, vdevice);
    k.keeps(rule["IOMMUFD-VDEVICE-7"]);
  },

  /** iommufd_viommu_get_vdev_id: what a device that is to be attached is to the virtual IOMMU of a page table, if it is of one. */
  virtualIdFor(device: IommufdDevice, hwpt: AnyHwpt): bigint | null {
    const viommu = hwpt.kind === "nested" ? hwpt.viommu : null;
    if (!viommu) return null;
    const { vdevice } = device;
    must(vdevice?.viommu === viommu, rule["IOMMUFD-VDEVICE-8"]);
    return vdevice.virtId;
  },
};
