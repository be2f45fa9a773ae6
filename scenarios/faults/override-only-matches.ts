/** Entries for overrides only count as any other: vfio-pci's table has one that matches everything. */
import { matchesOne } from "../../model/driver-core/pci-id.ts";
import type { Fault } from "./fault.ts";

export const overrideOnlyMatches: Fault = {
  id: "override-only-matches",
  title: "vfio-pci matches functions that nobody gave it",
  cites: "seeded",
  breaks: "override-only",
  shownBy: "driver-ids",
  apply(k) {
    k.driverCore = {
      ...k.driverCore,
      inTable: (_kernel, { idTable }, id) => idTable?.some((entry) => matchesOne(entry, id)) ?? false,
    };
  },
};
