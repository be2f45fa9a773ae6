/** Linux 6.6 to 6.7: an emulated device forgets where an IOAS has it listed when it tries in vain to join another. */
import { Refusal } from "../../model/kernel/clause.ts";
import type { Fault } from "./fault.ts";

export const accessEntryOverwritten: Fault = {
  id: "access-entry-overwritten",
  title: "an emulated device that could not join an IOAS is no longer counted by the one that it is attached to",
  cites: "aeb004c0cd69 iommufd: Fix iopt_access_list_id overwrite bug (6.8)",
  breaks: "refused-no-trace",
  shownBy: "iommufd-access",
  apply(k) {
    const { addAccess } = k.ioas;
    k.ioas = {
      ...k.ioas,
      *addAccess(kernel, ioas, access) {
        try {
          yield* addAccess(kernel, ioas, access);
        } catch (refusal) {
          const listed = access.ioas?.accesses;
          if (refusal instanceof Refusal && listed?.includes(access)) listed.splice(listed.indexOf(access), 1);
          throw refusal;
        }
      },
    };
  },
};
