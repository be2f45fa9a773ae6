/** Drivers and PCI functions: bind, unbind and driver_override in sysfs. Beside drivers/base/{bus,dd}.c. */
import { clauses, must, Refusal } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Operation, runStraight, Unmodelled } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import type { PciFunction } from "../pci/function.ts";
import { locksOf } from "../pci/locks.ts";
import { auxiliarySteps } from "./auxiliary.ts";
import { busSteps } from "./bus.ts";
import { newIdSteps } from "./new-id.ts";
import { PCI_DRIVERS, type PciDriver, vfioPciDriver } from "./pci-driver.ts";
import { idOf } from "./pci-id.ts";
import { cString, names, taken } from "./sysfs-text.ts";

export const rule = clauses({
  "PCI-BIND-1": {
    rule: "the text must be the name of a device on the bus, one newline at its end not counted",
    errno: "ENODEV",
    source: "drivers/base/bus.c:bind_store",
  },
  "PCI-BIND-2": {
    rule: "the driver must match: by the override and nothing else where there is one, else by ids that are not for overrides only",
    errno: "ENODEV",
    source: "drivers/pci/pci-driver.c:pci_match_device",
  },
  "PCI-BIND-3": {
    rule: "a function that has a driver can't get another, nor the same again",
    errno: "EBUSY",
    source: "drivers/base/dd.c:__driver_probe_device",
  },
  "PCI-BIND-4": {
    rule: "the whole text is taken, and the function belongs to the driver",
    source: "drivers/base/bus.c:bind_store",
    observable: "sysfs",
  },
  "PCI-UNBIND-1": {
    rule: "the text must be the name of a device that has this driver",
    errno: "ENODEV",
    source: "drivers/base/bus.c:unbind_store",
  },
  "PCI-UNBIND-2": {
    rule: "the whole text is taken, the function has no driver, and its override stays",
    source: "drivers/base/bus.c:unbind_store",
    observable: "sysfs",
  },
  "PCI-OVERRIDE-1": {
    rule: "an override that would not fit a page with its newline and NUL is refused, whatever it says",
    errno: "EINVAL",
    source: "drivers/base/driver.c:driver_set_override",
  },
  "PCI-OVERRIDE-2": {
    rule: "the first line becomes the override, whether or not there is such a driver; what is bound stays bound",
    source: "Documentation/ABI/testing/sysfs-bus-pci:driver_override",
    observable: "sysfs",
  },
  "PCI-OVERRIDE-3": {
    rule: "an empty line clears the override",
    source: "Documentation/ABI/testing/sysfs-bus-pci:driver_override",
    observable: "sysfs",
  },
});

/** PAGE_SIZE - 1: with its newline and NUL the longest override fills a page. */
const OVERRIDE_LIMIT = 4095;

export const steps = {
  ...busSteps,
  ...newIdSteps,
  ...auxiliarySteps,

  /** bind_store */
  *bind(k: Kernel, name: string, text: string): Operation<number> {
    const driver = k.driverCore.findDriver(k, name);
    const written = taken(text);
    if (written.length === 0) return 0;
    const pciFunction = k.driverCore.findDevice(k, written);
    must(pciFunction !== undefined, rule["PCI-BIND-1"]);
    must(k.driverCore.matches(k, pciFunction, driver), rule["PCI-BIND-2"]);
    using _ = yield* k.lock(locksOf(pciFunction).device);
    must(pciFunction.driver === null, rule["PCI-BIND-3"]);
    const refusal = yield* k.driverCore.probe(k, pciFunction, driver);
    if (refusal) throw refusal;
    k.keeps(rule["PCI-BIND-4"]);
    return written.length;
  },

  /** unbind_store */
  *unbind(k: Kernel, name: string, text: string): Operation<number> {
    const driver = k.driverCore.findDriver(k, name);
    const written = taken(text);
    if (written.length === 0) return 0;
    const pciFunction = k.driverCore.findDevice(k, written);
    must(pciFunction !== undefined && pciFunction.driver === driver, rule["PCI-UNBIND-1"]);
    using _ = yield* k.lock(locksOf(pciFunction).device);
    yield* k.driverCore.remove(k, pciFunction, driver);
    pciFunction.driver = null;
    k.keeps(rule["PCI-UNBIND-2"]);
    return written.length;
  },

  /** bus_find_device_by_name */
  findDevice(k: Kernel, text: string): PciFunction | undefined {
    for (const bridge of k.topology.bridges) {
      if (names(text, bridge.address)) throw new Unmodelled("binding and unbinding bridges");
    }
    return k.functions.find((candidate) => names(text, candidate.spec.address));
  },

  /** The driver behind a directory of the bus in sysfs. */
  findDriver(k: Kernel, name: string): PciDriver {
    const driver = k.topology.drivers.includes(name) ? PCI_DRIVERS.get(name) : undefined;
    must(driver !== undefined && (!driver.since || k.since(driver.since)), vfsRule["VFS-OPEN-1"]);
    return driver;
  },

  /** pci_match_device: an override beats ids, and lets its driver match what no id does. */
  matches(k: Kernel, pciFunction: PciFunction, driver: PciDriver): boolean {
    if (pciFunction.driverOverride !== null) return pciFunction.driverOverride === driver.name;
    return k.driverCore.hasId(k, driver, idOf(pciFunction.spec));
  },

  /**
   * really_probe: DMA is set up for drivers that do not manage it themselves, which may be refused; then the driver's own
   * probe runs. Gives what that refused the function by, or null where the driver has it.
   */
  *probe(k: Kernel, pciFunction: PciFunction, driver: PciDriver): Operation<Refusal | null> {
    const { group, spec } = pciFunction;
    if (!driver.takesAny && !k.driverCore.hasId(k, driver, idOf(spec))) {
      throw new Unmodelled(`${driver.name} with a device that is not its own`);
    }
    if (!driver.driverManagedDma && group) yield* k.iommu.useDefaultDomain(k, group);
    try {
      yield* driver.probe(k, pciFunction);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      if (!driver.driverManagedDma && group) yield* k.iommu.unuseDefaultDomain(k, group);
      return thrown;
    }
    pciFunction.driver = driver;
    return null;
  },

  /** __device_release_driver */
  *remove(k: Kernel, pciFunction: PciFunction, driver: PciDriver): Operation<void> {
    pciFunction.leaving = true;
    try {
      yield* driver.remove(k, pciFunction);
    } finally {
      pciFunction.leaving = false;
    }
    if (!driver.driverManagedDma && pciFunction.group) yield* k.iommu.unuseDefaultDomain(k, pciFunction.group);
  },

  /** Gives a function at boot to the driver that it is made over to; it has none if the kernel has not, or the driver refuses. */
  attachVfio(k: Kernel, pciFunction: PciFunction): void {
    try {
      const driver = k.driverCore.findDriver(k, pciFunction.driverOverride ?? vfioPciDriver.name);
      runStraight(driver.probe(k, pciFunction));
      pciFunction.driver = driver;
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
    }
  },

  /** driver_override_store. 6.1 guards the string with the device lock, late 6.12 and 7.2 with one of its own. */
  *writeOverride(k: Kernel, pciFunction: PciFunction, text: string): Operation<number> {
    const written = taken(text);
    if (written.length === 0) return 0;
    must(written.length < OVERRIDE_LIMIT, rule["PCI-OVERRIDE-1"]);
    const line = cString(written).split("\n", 1)[0] ?? "";
    using _ = k.since("6.12") ? null : yield* k.lock(locksOf(pciFunction).device);
    k.driverCore.setOverride(k, pciFunction, line);
    return written.length;
  },

  /** driver_set_override */
  setOverride(k: Kernel, pciFunction: PciFunction, line: string): void {
    pciFunction.driverOverride = line === "" ? null : line;
    k.keeps(line === "" ? rule["PCI-OVERRIDE-3"] : rule["PCI-OVERRIDE-2"]);
  },

  /** driver_override_show: guarded as its store is. A string that is not there prints like any null pointer. */
  *readOverride(k: Kernel, pciFunction: PciFunction): Operation<string> {
    using _ = k.since("6.12") ? null : yield* k.lock(locksOf(pciFunction).device);
    return `${pciFunction.driverOverride ?? "(null)"}\n`;
  },
};
