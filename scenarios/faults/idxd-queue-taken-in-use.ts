/** Today's driver disables a queue that has clients with a warning; with guests, another would get theirs. */
import type { Fault } from "./fault.ts";

export const idxdQueueTakenInUse: Fault = {
  id: "idxd-queue-taken-in-use",
  title: "a queue is taken from its driver while a guest or a program uses it",
  cites: "seeded",
  breaks: "idxd-one-owner",
  shownBy: "idxd-guests",
  machine: "idxd",
  apply(k) {
    k.idxd = { ...k.idxd, *clearQueue() {} };
  },
};
