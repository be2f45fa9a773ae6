/** A BIND that is refused leaves the group blocked. */
import type { Fault } from "./fault.ts";

export const bindLeavesBlock: Fault = {
  id: "bind-leaves-block",
  title: "the error path of BIND does not unblock the group",
  cites: "seeded",
  breaks: "refused-no-trace",
  shownBy: "emulated-devices",
  apply(k) {
    const unbind = k.deviceCdev.unbind;
    const unblock = k.group.unblock;
    let closing = false;
    k.deviceCdev = {
      ...k.deviceCdev,
      *unbind(kernel, file) {
        closing = true;
        yield* unbind(kernel, file);
        closing = false;
      },
    };
    k.group = {
      ...k.group,
      *unblock(kernel, group) {
        if (closing) yield* unblock(kernel, group);
      },
    };
  },
};
