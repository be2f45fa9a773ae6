/** Eventfds that write to a function's BARs. */
import { refuse } from "../../model/kernel/clause.ts";
import { rule } from "../../model/vfio-pci/ioeventfd.ts";
import { type Deviation, Ruined } from "./deviation.ts";

export const ioeventfdEightBytes: Deviation = {
  id: "ioeventfd-eight-bytes",
  title:
    "VFIO_DEVICE_IOEVENTFD with eight bytes (VFIO_DEVICE_IOEVENTFD_64) is refused with EINVAL, which it was not before: the check was for machines that can't write so many",
  clause: "VFIO-PCI-IOEVENTFD-4",
  since: "6.14",
  source: "drivers/vfio/pci/vfio_pci_rdwr.c:vfio_pci_ioeventfd",
  upstream:
    "b44a06bd28f2, vfio/pci: Remove #ifdef iowrite64 and #ifdef ioread64 (6.14) took the condition away and left what it was about; no fix known, sources of 7.2.12 still have it",
  evidence: "ioeventfd-eight-bytes",
  apply(k, fired) {
    k.vfioPci = {
      ...k.vfioPci,
      checkWidth(width) {
        if (width !== 8) return;
        fired();
        refuse(rule["VFIO-PCI-IOEVENTFD-4"]);
      },
    };
  },
};

const SIGN = 1n << 63n;

export const ioeventfdNegativeOffset: Deviation = {
  id: "ioeventfd-negative-offset",
  title:
    "VFIO_DEVICE_IOEVENTFD with an offset whose highest bit is set passes for a BAR below the first, and the kernel looks for its size far before the function: an oops, by whoever has a device",
  clause: "VFIO-PCI-IOEVENTFD-5",
  since: "6.1",
  until: "6.18",
  source: "drivers/vfio/pci/vfio_pci_rdwr.c:vfio_pci_ioeventfd",
  upstream: "the commit is not known; in the sources of 7.2.12 VFIO_PCI_OFFSET_TO_INDEX takes the offset as unsigned",
  evidence: "ioeventfd-negative-offset",
  destructive: true,
  apply(k) {
    const right = k.vfioPci.checkBar;
    k.vfioPci = {
      ...k.vfioPci,
      checkBar(offset) {
        if (offset >= SIGN) throw new Ruined("memory that is no BAR", "ioeventfd-negative-offset");
        right(offset);
      },
    };
  },
};
