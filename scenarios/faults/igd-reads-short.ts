/** Regions that a driver has registered end before what they tell. */
import type { Fault } from "./fault.ts";

export const igdReadsShort: Fault = {
  id: "igd-reads-short",
  title: "the upper half of an OpRegion is refused to be read",
  cites: "seeded",
  breaks: "region-ends",
  shownBy: "driver-igd",
  machine: "variants",
  apply(k) {
    const right = k.igd.read;
    k.igd = {
      ...k.igd,
      read: (kernel, bytes, io, offset, told) =>
        right(kernel, offset > bytes.length / 2 ? new Uint8Array(0) : bytes, io, offset, told),
    };
  },
};
