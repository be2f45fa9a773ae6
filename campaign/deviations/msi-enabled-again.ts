/** MSI that a user has turned off in configuration space, and that the PCI core turns on again. */
import type { PciFunction } from "../../model/pci/function.ts";
import { PCI_IRQ } from "../../model/vfio/device-info.ts";
import type { Deviation } from "./deviation.ts";

/** Whether VFIO has MSI in use, and the user has turned it off. */
const turnedOff = ({ irqs, hardware }: PciFunction): boolean =>
  hardware !== null && irqs.vectors?.index === PCI_IRQ.MSI && irqs.how === "line";

export const msiEnabledAgain: Deviation = {
  id: "msi-enabled-again",
  title:
    "MSI that a user has turned off in configuration space is on again once the function has slept, was reset or comes back from D3hot, though its control reads as off",
  clause: "VFIO-PCI-CONFIG-18",
  since: "6.1",
  source: "drivers/pci/msi/msi.c:__pci_restore_msi_state",
  upstream:
    "none known; what is restored is what the PCI core has set up, whatever vfio-pci has written to the control since",
  evidence: "msi-enabled-again",
  apply(k, fired) {
    const right = k.vfioPci;
    const restores = (pciFunction: PciFunction): void => {
      if (!turnedOff(pciFunction)) return;
      pciFunction.irqs.signalBy("msi");
      fired();
    };
    k.vfioPci = {
      ...right,
      losesBySleeping: (kernel, pciFunction) => right.losesBySleeping(kernel, pciFunction) || turnedOff(pciFunction),
      sleep(kernel, pciFunction) {
        right.sleep(kernel, pciFunction);
        restores(pciFunction);
      },
      resetRegisters(kernel, pciFunction) {
        right.resetRegisters(kernel, pciFunction);
        restores(pciFunction);
      },
      powerUp(kernel, pciFunction, space) {
        const restored = space.saved !== null;
        right.powerUp(kernel, pciFunction, space);
        if (restored) restores(pciFunction);
      },
    };
  },
};
