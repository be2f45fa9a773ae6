/** What is written to the two bytes before MSI's message control. */
import { MSI } from "../../model/vfio-pci/config-perms.ts";
import type { Deviation } from "./deviation.ts";

export const msiControlRewritten: Deviation = {
  id: "msi-control-rewritten",
  title:
    "writing the id of MSI's capability, or the pointer to the next, neither of which can be written, gives the function the message control of the user's copy: messages stop that VFIO_DEVICE_SET_IRQS has enabled",
  clause: "VFIO-PCI-CONFIG-5",
  since: "6.1",
  source: "drivers/vfio/pci/vfio_pci_config.c:vfio_msi_config_write",
  upstream: "none known; whether the control is written is asked with >= in the place of >",
  evidence: "msi-control-rewritten",
  apply(k, fired) {
    const right = k.vfioPci.fixMsi;
    k.vfioPci = {
      ...k.vfioPci,
      fixMsi(kernel, space, region, chunk) {
        const control = region.start + MSI.CONTROL;
        if (chunk.at + chunk.width !== control) return right(kernel, space, region, chunk);
        const { irqs } = space;
        const before = [irqs.how, space.virtual[control]];
        right(kernel, space, region, { ...chunk, at: control });
        if (before[0] !== irqs.how || before[1] !== space.virtual[control]) fired();
      },
    };
  },
};
