/** A probe finds features that the device has not. */
import { FEATURE } from "../../model/vfio/feature.ts";
import type { Fault } from "./fault.ts";

export const probePromises: Fault = {
  id: "probe-promises",
  title: "a probe succeeds for every feature that there might be",
  cites: "seeded",
  breaks: "probe-tells",
  shownBy: "driver-igd",
  machine: "variants",
  apply(k) {
    const right = k.feature.ofDriver;
    k.feature = {
      ...k.feature,
      *ofDriver(kernel, request) {
        return request.flags & FEATURE.PROBE ? 0 : yield* right(kernel, request);
      },
    };
  },
};
