/** A feature that nobody knows is refused as if it were asked for in a wrong way. */
import { refuse } from "../../model/kernel/clause.ts";
import { rule } from "../../model/vfio/feature.ts";
import type { Fault } from "./fault.ts";

export const featureUnknownEinval: Fault = {
  id: "feature-unknown-einval",
  title: "a driver without features of its own refuses those that the core does not know with EINVAL",
  cites: "16df67f2189a vfio: return -ENOTTY for unsupported device feature (6.18)",
  breaks: "difference",
  shownBy: "emulated-devices",
  apply(k) {
    const right = k.feature.ofDriver;
    k.feature = {
      ...k.feature,
      *ofDriver(kernel, request) {
        if (!request.device.ops.features) refuse(rule["VFIO-FEATURE-6"]);
        return yield* right(kernel, request);
      },
    };
  },
};
