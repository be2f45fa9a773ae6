/** An id that was added is not tried on what is there: the function has to be bound by hand. */
import type { Fault } from "./fault.ts";

export const newIdNotTried: Fault = {
  id: "new-id-not-tried",
  title: "a driver that gets an id does not look for functions that match",
  cites: "seeded",
  breaks: "difference",
  shownBy: "driver-ids",
  apply(k) {
    k.driverCore = { ...k.driverCore, *attachDriver() {} };
  },
};
