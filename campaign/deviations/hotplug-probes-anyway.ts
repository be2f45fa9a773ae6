/** PCI functions that are found look for a driver although the bus was told not to: only the driver core asked, and it looks too soon for them. */
import type { Deviation } from "./deviation.ts";

export const hotplugProbesAnyway: Deviation = {
  id: "hotplug-probes-anyway",
  title: "a function that is found gets a driver although drivers_autoprobe of its bus is off",
  clause: "PCI-RESCAN-5",
  since: "6.1",
  until: "6.18",
  source: "drivers/pci/bus.c:pci_bus_add_device",
  upstream: 'fixed by "driver core: Check drivers_autoprobe for all added devices"',
  evidence: "function-found-unasked",
  apply(k, fired) {
    const { looksForDriver } = k.hotplug;
    k.hotplug = {
      ...k.hotplug,
      looksForDriver(kernel) {
        if (!looksForDriver(kernel)) fired();
        return true;
      },
    };
  },
};
