/** The close forgets the eventfds that write to the function: they go on, and are in the way of those that open it next. */
import type { Fault } from "./fault.ts";

export const ioeventfdOutlivesClose: Fault = {
  id: "ioeventfd-outlives-close",
  title: "an eventfd writes to a function that was closed",
  cites: "seeded",
  breaks: "references-balance",
  shownBy: "function-regions",
  apply(k) {
    k.vfioPci = { ...k.vfioPci, closeIoeventfds() {} };
  },
};
