/** The table is passed to users like the rest of its BAR. */
import type { Fault } from "./fault.ts";

export const msixTableExposed: Fault = {
  id: "msix-table-exposed",
  title: "users read and write the MSI-X table",
  cites: "seeded",
  breaks: "difference",
  shownBy: "function-regions",
  apply(k) {
    k.vfioPci = { ...k.vfioPci, hiddenRange: () => ({ from: 0, to: 0 }) };
  },
};
