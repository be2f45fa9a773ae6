/** What MSI says that it is capable of, which a user can write into his copy. */
import { MSI } from "../../model/vfio-pci/config-perms.ts";
import type { Deviation } from "./deviation.ts";

const CAPABLE = 0xff & ~(MSI.ENABLE | MSI.IN_USE);

export const msiCapableWritten: Deviation = {
  id: "msi-capable-written",
  title:
    "the number of vectors that MSI is capable of, and whether its address has 64 bits, read as they were written, until the function is closed",
  clause: "VFIO-PCI-CONFIG-18",
  since: "6.1",
  source: "drivers/vfio/pci/vfio_pci_config.c:vfio_msi_config_read",
  upstream: "searched, none found",
  evidence: "config-msi-control",
  apply(k, fired) {
    const { storeBits } = k.vfioPci;
    k.vfioPci = {
      ...k.vfioPci,
      storeBits(space, chunk, bytes) {
        storeBits(space, chunk, bytes);
        const region = space.region(chunk.at);
        if (region?.permissions.kind !== "msi") return;
        const control = region.start + MSI.CONTROL;
        const written = control - chunk.at;
        if (written < 0 || written >= chunk.width) return;
        const before = space.virtual[control] ?? 0;
        const after = (before & ~CAPABLE) | ((bytes[chunk.done + written] ?? 0) & CAPABLE);
        if (before === after) return;
        fired();
        space.setVirtual(control, after);
      },
    };
  },
};
