/** A wrong errno: attaching to an id that is no IOAS. */
import { refuse } from "../../model/kernel/clause.ts";
import { rule } from "../../model/vfio/device-cdev-attach.ts";
import type { Fault } from "./fault.ts";

export const attachWrongErrno: Fault = {
  id: "attach-wrong-errno",
  title: "attaching an emulated device to what is no IOAS is refused with EINVAL",
  cites: "seeded",
  breaks: "difference",
  shownBy: "emulated-devices",
  apply(k) {
    const right = k.iommufdDevice.attachAccess;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      *attachAccess(kernel, access, ioasId) {
        if (access.context.get(ioasId)?.kind !== "ioas") refuse(rule["VFIO-CDEV-ATTACH-3"]);
        yield* right(kernel, access, ioasId);
      },
    };
  },
};
