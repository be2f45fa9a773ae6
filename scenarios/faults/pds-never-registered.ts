/** No device of pds_vfio_pci becomes one of VFIO where there is an iommufd, for its driver has no way to detach it. */
import { clauses, refuse } from "../../model/kernel/clause.ts";
import { PdsDevice } from "../../model/vfio-pci/drivers/pds.ts";
import type { Fault } from "./fault.ts";

const rule = clauses({
  "FAULT-PDS-1": {
    rule: "a driver that binds devices to an iommufd must be able to detach them",
    errno: "EINVAL",
    source: "drivers/vfio/vfio_main.c:__vfio_register_dev",
    unseen: "it is a fault's own",
  },
});

export const pdsNeverRegistered: Fault = {
  id: "pds-never-registered",
  title: "functions of pds are not taken by their driver where the kernel has iommufd",
  cites: "fe24d5bc635e vfio/pds: Fix missing detach_ioas op (6.17)",
  breaks: "difference",
  shownBy: "driver-pds",
  machine: "variants",
  apply(k) {
    const right = k.vfioPci.register;
    k.vfioPci = {
      ...k.vfioPci,
      register(kernel, device) {
        if (device instanceof PdsDevice && kernel.has("IOMMUFD")) refuse(rule["FAULT-PDS-1"]);
        right(kernel, device);
      },
    };
  },
};
