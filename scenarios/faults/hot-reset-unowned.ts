/** A hot reset looks at none of the groups that it is shown. */
import type { Fault } from "./fault.ts";

export const hotResetUnowned: Fault = {
  id: "hot-reset-unowned",
  title: "a hot reset takes any file for a group, and does not ask whose the devices are",
  cites: "seeded",
  breaks: "hot-reset-ownership",
  shownBy: "hot-reset",
  apply(k) {
    k.hotReset = {
      ...k.hotReset,
      *resetByGroups(kernel, device) {
        yield* kernel.hotReset.reset(kernel, device, { kind: "groups", groups: [] });
      },
      checkOwned() {},
    };
  },
};
