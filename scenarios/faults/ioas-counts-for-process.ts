/** What is to count for the user counts for the process. */
import type { Fault } from "./fault.ts";

export const ioasCountsForProcess: Fault = {
  id: "ioas-counts-for-process",
  title: "memory that is mapped without CAP_IPC_LOCK counts for the process in the user's place",
  cites: "seeded",
  breaks: "pins-counted",
  shownBy: "iommufd-areas",
  apply(k) {
    k.ioas = {
      ...k.ioas,
      charge(kernel, { counted }, count) {
        if (counted !== null) kernel.mm.lockedPages += count;
      },
    };
  },
};
