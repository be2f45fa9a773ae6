/** The length of a mapping is compared with that of the BAR, and where it begins is forgotten. */
import type { Fault } from "./fault.ts";

export const mappingPastEnd: Fault = {
  id: "mapping-past-end",
  title: "a mapping leads past the end of its BAR",
  cites: "seeded",
  breaks: "difference",
  shownBy: "function-regions",
  apply(k) {
    k.vfioPci = { ...k.vfioPci, fitsBar: (size, _begin, length) => length <= size };
  },
};
