/** The PCI bus: who looks for drivers, and when. Beside drivers/base/bus.c. */
import { clauses, must, Refusal, refuse } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import { locksOf } from "../pci/locks.ts";
import { PCI_DRIVERS, type PciDriver } from "./pci-driver.ts";
import type { PciDeviceId } from "./pci-id.ts";
import { taken } from "./sysfs-text.ts";

export const rule = clauses({
  "PCI-PROBE-1": {
    rule: "the text must be the name of a device on the bus, one newline at its end not counted",
    errno: "ENODEV",
    source: "drivers/base/bus.c:drivers_probe_store",
  },
  "PCI-PROBE-2": {
    rule: "a driver that matches, does DMA, and can't have the group's is no driver for the function, nor is any after it",
    errno: "EINVAL",
    source: "drivers/base/dd.c:__device_attach_driver",
  },
  "PCI-PROBE-3": {
    rule: "the whole text is taken, and a function without a driver gets the one that matches",
    source: "Documentation/ABI/testing/sysfs-bus-pci:driver_override",
    observable: "sysfs",
  },
  "PCI-PROBE-4": {
    rule: "the whole text is taken as well where no driver matches, or the one that does refuses the function",
    source: "drivers/base/bus.c:bus_rescan_devices_helper",
    observable: "sysfs",
  },
  "PCI-PROBE-5": {
    rule: "the whole text is taken, and a function that has a driver keeps it",
    source: "drivers/base/bus.c:bus_rescan_devices_helper",
    observable: "sysfs",
  },
  "PCI-AUTOPROBE-1": {
    rule: "text that begins with 0 turns it off, any other on; it is about devices and drivers that come, not about asking for one",
    source: "drivers/base/bus.c:drivers_autoprobe_store",
    observable: "sysfs",
  },
  "PCI-AUTOPROBE-2": {
    rule: "it reads as 1 or 0",
    source: "drivers/base/bus.c:drivers_autoprobe_show",
    observable: "sysfs",
  },
});

/** What the bus knows besides its functions. */
export class PciBus {
  /** Whether functions and drivers that come look for each other by themselves. */
  autoprobe = true;
  /** Ids that were added to drivers, in their order: struct pci_dynids. */
  readonly dynids = new Map<PciDriver, PciDeviceId[]>();

  /** A number that changes with what the bus knows. */
  trace(): number {
    let trace = this.autoprobe ? 1 : 0;
    if (this.dynids.size > 0) for (const [{ name }, ids] of this.dynids) trace += ids.length * 8 * name.length;
    return trace;
  }
}

export const busSteps = {
  /** drivers_probe_store */
  *probeDrivers(k: Kernel, text: string): Operation<number> {
    const written = taken(text);
    if (written.length === 0) return 0;
    const pciFunction = k.driverCore.findDevice(k, written);
    must(pciFunction !== undefined, rule["PCI-PROBE-1"]);
    if (pciFunction.driver !== null) {
      k.keeps(rule["PCI-PROBE-5"]);
      return written.length;
    }
    yield* k.driverCore.attachDevice(k, pciFunction);
    k.keeps(pciFunction.driver !== null ? rule["PCI-PROBE-3"] : rule["PCI-PROBE-4"]);
    return written.length;
  },

  /** device_attach: what a driver's own probe says against the function is not the caller's business. */
  *attachDevice(k: Kernel, pciFunction: PciFunction): Operation<void> {
    using _ = yield* k.lock(locksOf(pciFunction).device);
    const driver = k.driverCore.findMatch(k, pciFunction);
    try {
      if (driver) yield* k.driverCore.probe(k, pciFunction, driver);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      refuse(rule["PCI-PROBE-2"]);
    }
  },

  /** The driver that matches a function, or null. Among several it is the one that registered first, which nobody can see. */
  findMatch(k: Kernel, pciFunction: PciFunction): PciDriver | null {
    const { spec, driverOverride } = pciFunction;
    const foreign = spec.nativeDriver !== null && !k.topology.drivers.includes(spec.nativeDriver);
    if (driverOverride === null && (foreign || !k.topology.wholeBus)) {
      throw new Unmodelled("drivers that match a function by ids of their own");
    }
    const matching = [...PCI_DRIVERS.values()].filter(
      (driver) => k.topology.drivers.includes(driver.name) && k.driverCore.matches(k, pciFunction, driver),
    );
    if (matching.length > 1) throw new Unmodelled("which of several drivers that match a function gets it");
    return matching[0] ?? null;
  },

  /** driver_attach: every function that the driver matches and nobody has. Those that it refuses go on without. */
  *attachDriver(k: Kernel, driver: PciDriver): Operation<void> {
    for (const pciFunction of k.functions) {
      if (pciFunction.driver !== null || !k.driverCore.matches(k, pciFunction, driver)) continue;
      using _ = yield* k.lock(locksOf(pciFunction).device);
      try {
        yield* k.driverCore.probe(k, pciFunction, driver);
      } catch (thrown) {
        if (!(thrown instanceof Refusal)) throw thrown;
      }
    }
  },

  /** drivers_autoprobe_store */
  setAutoprobe(k: Kernel, text: string): number {
    if (!k.topology.wholeBus) throw new Unmodelled("a bus with other devices that look for drivers");
    const written = taken(text);
    if (written.length === 0) return 0;
    k.pciBus.autoprobe = !written.startsWith("0");
    k.keeps(rule["PCI-AUTOPROBE-1"]);
    return written.length;
  },

  /** drivers_autoprobe_show */
  readAutoprobe(k: Kernel): string {
    if (!k.topology.wholeBus) throw new Unmodelled("a bus with other devices that look for drivers");
    k.keeps(rule["PCI-AUTOPROBE-2"]);
    return k.pciBus.autoprobe ? "1\n" : "0\n";
  },
};
