/** pci-stub as it would be without a word of its own about DMA: an owner like any driver of the kernel. */
import { type PciDriver, pciStubDriver } from "../../model/driver-core/pci-driver.ts";
import type { Fault } from "./fault.ts";

const owner: PciDriver = { ...pciStubDriver, driverManagedDma: false };
const asItWas = (driver: PciDriver): PciDriver => (driver === pciStubDriver ? owner : driver);

export const stubOwnsDma: Fault = {
  id: "stub-owns-dma",
  title: "a function that pci-stub has takes its group's viability",
  cites: "18c7a349d072 PCI: pci_stub: Set driver_managed_dma (5.19)",
  breaks: "difference",
  shownBy: "driver-binding",
  apply(k) {
    const { probe, remove } = k.driverCore;
    k.driverCore = {
      ...k.driverCore,
      probe: (kernel, pciFunction, driver) => probe(kernel, pciFunction, asItWas(driver)),
      remove: (kernel, pciFunction, driver) => remove(kernel, pciFunction, asItWas(driver)),
    };
  },
};
