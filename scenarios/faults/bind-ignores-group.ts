/** A device can be bound through its own node while its group is open. */
import type { Fault } from "./fault.ts";

export const bindIgnoresGroup: Fault = {
  id: "bind-ignores-group",
  title: "BIND does not look whether the group is open",
  cites: "seeded",
  breaks: "group-xor-cdev",
  shownBy: "emulated-devices",
  apply(k) {
    k.group = {
      ...k.group,
      *block(kernel, group) {
        using _ = yield* kernel.lock(group.groupLock);
        group.cdevDeviceOpenCount++;
      },
    };
  },
};
