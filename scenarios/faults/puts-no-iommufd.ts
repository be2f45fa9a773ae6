/** Linux 6.2: SET_CONTAINER that an iommufd refuses puts the group's iommufd, and the group has none. */
import { Refusal } from "../../model/kernel/clause.ts";
import type { Fault } from "./fault.ts";

export const putsNoIommufd: Fault = {
  id: "puts-no-iommufd",
  title: "the error path of SET_CONTAINER puts the iommufd that the group does not have yet",
  cites: "d649c34cb916 vfio: Fix NULL pointer dereference caused by uninitialized group->iommufd (6.2.3)",
  breaks: "no-crash",
  shownBy: "iommufd-compat",
  machine: "noiommu",
  apply(k) {
    const right = k.iommufd.compatIoasCreate;
    k.iommufd = {
      ...k.iommufd,
      *compatIoasCreate(kernel, context) {
        try {
          yield* right(kernel, context);
        } catch (refusal) {
          if (!(refusal instanceof Refusal)) throw refusal;
          throw new Error("NULL pointer dereference in iommufd_ctx_put");
        }
      },
    };
  },
};
