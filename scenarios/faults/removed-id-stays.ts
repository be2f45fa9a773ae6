/** An id that was removed stays, and the driver goes on matching by it. */
import type { Fault } from "./fault.ts";

export const removedIdStays: Fault = {
  id: "removed-id-stays",
  title: "remove_id says that an id is gone and leaves it",
  cites: "seeded",
  breaks: "difference",
  shownBy: "driver-ids",
  apply(k) {
    const { dropId, addId } = k.driverCore;
    k.driverCore = {
      ...k.driverCore,
      dropId(kernel, driver, id) {
        const dropped = dropId(kernel, driver, id);
        if (dropped) addId(kernel, driver, id);
        return dropped;
      },
    };
  },
};
