/** A condition went away, and what it was about stayed. */
import { refuse } from "../../model/kernel/clause.ts";
import { rule } from "../../model/vfio-pci/ioeventfd.ts";
import type { Fault } from "./fault.ts";

export const ioeventfdEightBytesRefused: Fault = {
  id: "ioeventfd-eight-bytes-refused",
  title: "an eventfd can't write eight bytes at once",
  cites: "none known, after b44a06bd28f2, vfio/pci: Remove #ifdef iowrite64 and #ifdef ioread64 (6.14)",
  breaks: "difference",
  shownBy: "function-regions",
  apply(k) {
    k.vfioPci = {
      ...k.vfioPci,
      checkWidth(width) {
        if (width === 8) refuse(rule["VFIO-PCI-IOEVENTFD-4"]);
      },
    };
  },
};
