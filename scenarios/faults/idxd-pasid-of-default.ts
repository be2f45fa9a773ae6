/** A dedicated queue runs with the PASID of its device, though the guest has set one of its own. */
import type { Fault } from "./fault.ts";

export const idxdPasidOfDefault: Fault = {
  id: "idxd-pasid-of-default",
  title: "a guest's PASID is not translated: its queue reaches what the device reaches",
  cites: "seeded",
  breaks: "idxd-pasid-own",
  shownBy: "idxd-guests",
  machine: "idxd",
  apply(k) {
    const right = k.idxd.queuePasid;
    k.idxd = {
      ...k.idxd,
      queuePasid(kernel, device, guest) {
        return right(kernel, device, guest) && device.pasid;
      },
    };
  },
};
