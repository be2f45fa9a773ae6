/** Attaching a PASID of a device. Beside drivers/iommu/iommufd/device.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { IommufdDevice } from "./objects.ts";

const source = (name: string) => iommufdSource("device", name);
const PASID = { ...IOMMUFD, since: "6.15" } as const;

export const rule = clauses({
  "IOMMUFD-PASID-1": {
    ...PASID,
    rule: "a PASID takes only an hwpt that was made for PASIDs, which none is that an attach makes",
    errno: "EINVAL",
    source: source("iommufd_hwpt_pasid_compat"),
  },
  "IOMMUFD-PASID-2": {
    ...PASID,
    rule: "pt_id must be the id of an object",
    errno: "ENOENT",
    source: source("iommufd_device_change_pt"),
  },
  "IOMMUFD-PASID-3": {
    ...PASID,
    rule: "pt_id must be the id of an IOAS or an hwpt",
    errno: "EINVAL",
    source: source("iommufd_device_change_pt"),
  },
});

export const steps = {
  /** iommufd_device_attach for a PASID. Those that an hwpt takes are not modelled. */
  *attachPasid(k: Kernel, device: IommufdDevice, ptId: number): Operation<never> {
    using pt = device.context.get(ptId)?.hold();
    must(pt !== undefined, rule["IOMMUFD-PASID-2"]);
    must(pt.kind === "ioas" || pt.kind === "hwpt" || pt.kind === "nested", rule["IOMMUFD-PASID-3"]);
    if (pt.kind !== "ioas" && pt.forPasids) throw new Unmodelled("PASIDs that are attached");
    using _ioas = pt.kind === "ioas" ? yield* k.lock(pt.mutex) : null;
    using _ = yield* k.lock(device.igroup.lock);
    return refuse(rule["IOMMUFD-PASID-1"]);
  },
};
