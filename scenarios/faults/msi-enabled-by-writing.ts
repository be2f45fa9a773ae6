/** MSI is enabled in the copy of the user by writing that it is. */
import type { Fault } from "./fault.ts";

export const msiEnabledByWriting: Fault = {
  id: "msi-enabled-by-writing",
  title: "MSI says that it is enabled once that was written, though nobody set it up",
  cites: "seeded",
  breaks: "difference",
  shownBy: "config-space",
  apply(k) {
    k.vfioPci = { ...k.vfioPci, fixMsi() {} };
  },
};
