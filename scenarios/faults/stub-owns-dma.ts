/** pci-stub as it would be without a word of its own about DMA: an owner like any driver of the kernel. */
import type { Fault } from "./fault.ts";

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
      *probe(kernel, pciFunction, driver) {
        yield* probe(kernel, pciFunction, driver);
        if (driver === "pci-stub" && pciFunction.group) yield* kernel.iommu.useDefaultDomain(kernel, pciFunction.group);
      },
      *remove(kernel, pciFunction, driver) {
        yield* remove(kernel, pciFunction, driver);
        if (driver === "pci-stub" && pciFunction.group) yield* kernel.iommu.release(kernel, pciFunction.group);
      },
    };
  },
};
