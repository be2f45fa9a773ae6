/** A device that moves may move to a page table that its IOMMU's driver knows nothing of. */
import { NO_PASID } from "../../model/iommufd/igroup.ts";
import { type Deviation, Ruined } from "./deviation.ts";

export const replaceForeignTable: Deviation = {
  id: "replace-foreign-table",
  title:
    "a device that is attached can move to a page table of another IOMMU's driver: nobody looks whose it is, and the one driver works on the other's data",
  clause: "IOMMUFD-ATTACH-8",
  since: "6.18",
  source: "drivers/iommu/iommu.c:iommu_replace_group_handle",
  upstream: "searched, none found",
  evidence: "replace-foreign-table",
  destructive: true,
  apply(k) {
    const { replaceHwpt } = k.iommufdDevice;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      *replaceHwpt(kernel, device, hwpt, pasid) {
        if (pasid === NO_PASID && hwpt.driver !== device.device.iommuDriver) {
          throw new Ruined("a page table of another driver", "replace-foreign-table");
        }
        return yield* replaceHwpt(kernel, device, hwpt, pasid);
      },
    };
  },
};
