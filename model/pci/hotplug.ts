/** Functions that user space takes off the bus, and has found again. Beside drivers/pci/{remove,probe,pci-sysfs}.c. */
import { parseUnsigned, taken } from "../driver-core/sysfs-text.ts";
import type { IommuGroup } from "../iommu/group.ts";
import { clauses, must, Refusal, refuse } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import { bridgeAbove } from "../topology.ts";
import { parseAddress } from "./address.ts";
import { PciFunction } from "./function.ts";
import { locksOf } from "./locks.ts";

const abi = (file: string) => `Documentation/ABI/testing/sysfs-bus-pci:${file}`;

export const rule = clauses({
  "PCI-REMOVE-1": {
    rule: "the text must be a number",
    errno: "EINVAL",
    source: "drivers/pci/pci-sysfs.c:remove_store",
  },
  "PCI-REMOVE-2": { rule: "0 removes nothing", source: "drivers/pci/pci-sysfs.c:remove_store", observable: "sysfs" },
  "PCI-REMOVE-3": {
    rule: "any other number takes the function off the bus, once nobody has it open: its driver, its nodes, its place in its group and all of it in sysfs are gone",
    source: abi("remove"),
    observable: "sysfs",
  },
  "PCI-REMOVE-4": {
    rule: "an IOMMU group ends with its last member, and its number is free",
    source: "drivers/iommu/iommu.c:iommu_group_release",
    observable: "later-call",
  },
  "PCI-REMOVE-5": {
    machine: "sriov",
    rule: "virtual functions are gone with their physical one",
    source: "drivers/pci/remove.c:pci_stop_bus_device",
    observable: "sysfs",
  },
  "PCI-REMOVE-6": {
    machine: "sriov",
    rule: "a virtual function has neither remove nor rescan: it comes and goes with its physical one",
    errno: "ENOENT",
    source: "drivers/pci/pci-sysfs.c:pci_dev_hp_attrs_are_visible",
  },
  "PCI-RESCAN-1": {
    rule: "the text must be a number",
    errno: "EINVAL",
    source: "drivers/pci/pci-sysfs.c:rescan_store",
  },
  "PCI-RESCAN-2": { rule: "0 looks for nothing", source: "drivers/pci/pci-sysfs.c:rescan_store", observable: "sysfs" },
  "PCI-RESCAN-3": {
    rule: "any other number finds the functions that were removed, as new devices: nothing is left of an override",
    source: abi("rescan"),
    observable: "sysfs",
  },
  "PCI-RESCAN-4": {
    rule: "a rescan that is written to a device looks at the bus that the device is on and at what lies behind that, and nowhere else",
    source: "drivers/pci/pci-sysfs.c:dev_rescan_store",
    observable: "sysfs",
  },
  "PCI-RESCAN-5": {
    rule: "a function that is found gets the driver that matches, and none where the bus does not look for drivers by itself",
    source: "drivers/base/dd.c:device_initial_probe",
    observable: "sysfs",
  },
  "PCI-RESCAN-6": {
    rule: "a function that is found joins the group of those that it can't be kept apart from, and where there is none gets a group of its own",
    source: "drivers/iommu/iommu.c:pci_device_group",
    observable: "sysfs",
  },
});

const rescanRemoveLock = new LockClass("pci_rescan_remove_lock");

/** What was taken off the bus. It is still in its slot, and keeps what its hardware keeps. */
export class RemovedFunctions {
  readonly functions: PciFunction[] = [];
  /** Held over every removal and every rescan. */
  readonly lock = new Lock(rescanRemoveLock);
}

/** Where a rescan looks: on every bus, on one and all behind it, or nowhere. */
export type RescanFile =
  | { readonly kind: "pci-bus" }
  | { readonly kind: "pci-device"; readonly device: string }
  | { readonly kind: "pci-bridge"; readonly device: string };

/** The number that was written; refuses what is none. */
function numberIn(written: string, clause: (typeof rule)["PCI-REMOVE-1"]): bigint {
  const value = parseUnsigned(written);
  must(value !== null, clause);
  return value;
}

export const steps = {
  /** remove_store */
  *remove(k: Kernel, name: string, text: string): Operation<number> {
    const pciFunction = k.hotplug.attribute(k, name, "remove");
    const written = taken(text);
    if (written.length === 0) return 0;
    if (numberIn(written, rule["PCI-REMOVE-1"]) === 0n) {
      k.keeps(rule["PCI-REMOVE-2"]);
      return written.length;
    }
    k.hotplug.mustBeKnown(k);
    using _ = yield* k.lock(k.removed.lock);
    yield* k.hotplug.stopDevice(k, pciFunction);
    k.hotplug.destroyDevice(k, pciFunction);
    k.keeps(rule["PCI-REMOVE-3"]);
    return written.length;
  },

  /** The function behind one of the attributes. */
  find(k: Kernel, name: string): PciFunction {
    const found = k.functions.find(({ spec }) => spec.name === name) ?? refuse(vfsRule["VFS-OPEN-1"]);
    must(found.physical === null, rule["PCI-REMOVE-6"]);
    return found;
  },

  /** The function behind such an attribute; refuses where it has that not, or no more. */
  attribute(k: Kernel, name: string, file: "remove" | "rescan"): PciFunction {
    const pciFunction = k.hotplug.find(k, name);
    must(!pciFunction.removing || file === "rescan", vfsRule["VFS-OPEN-1"]);
    return pciFunction;
  },

  /** What else is found on a bus, and what becomes of functions that another manages, nobody has said. */
  mustBeKnown({ topology }: Kernel): void {
    if (!topology.wholeBus) throw new Unmodelled("removals and rescans on a bus with other devices");
    if (topology.managed.length > 0) throw new Unmodelled("removals of functions that manage others");
  },

  /** pci_stop_dev: waits until nobody has the function open. */
  *stopDevice(k: Kernel, pciFunction: PciFunction): Operation<void> {
    using _ = yield* k.lock(locksOf(pciFunction).device);
    const { driver, vfs } = pciFunction;
    if (vfs.length > 0) k.keeps(rule["PCI-REMOVE-5"]);
    pciFunction.removing = true;
    try {
      if (driver) yield* k.driverCore.remove(k, pciFunction, driver);
    } finally {
      pciFunction.removing = false;
    }
    pciFunction.driver = null;
  },

  /** pci_destroy_dev */
  destroyDevice(k: Kernel, pciFunction: PciFunction): void {
    k.functions.splice(k.functions.indexOf(pciFunction), 1);
    if (pciFunction.group) k.hotplug.leaveGroup(k, pciFunction, pciFunction.group);
    k.removed.functions.push(pciFunction);
  },

  /** iommu_release_device */
  leaveGroup(k: Kernel, pciFunction: PciFunction, group: IommuGroup): void {
    group.members.splice(group.members.indexOf(pciFunction), 1);
    if (group.members.length > 0 || group.bridges.length > 0) return;
    k.iommu.free(k, group);
    k.keeps(rule["PCI-REMOVE-4"]);
  },

  /** rescan_store and dev_rescan_store */
  *rescan(k: Kernel, file: RescanFile, text: string): Operation<number> {
    const bus = k.hotplug.busOf(k, file);
    const written = taken(text);
    if (written.length === 0) return 0;
    if (numberIn(written, rule["PCI-RESCAN-1"]) === 0n) {
      k.keeps(rule["PCI-RESCAN-2"]);
      return written.length;
    }
    k.hotplug.mustBeKnown(k);
    using _ = yield* k.lock(k.removed.lock);
    const found = k.removed.functions.filter(({ spec }) => bus === null || k.hotplug.isBelow(k, spec.bus, bus));
    if (found.length < k.removed.functions.length) k.keeps(rule["PCI-RESCAN-4"]);
    yield* k.hotplug.add(k, found);
    return written.length;
  },

  /** The bus that a rescan looks at first; null where it looks at all of them. */
  busOf(k: Kernel, file: RescanFile): number | null {
    switch (file.kind) {
      case "pci-bus":
        return null;
      case "pci-device":
        return k.hotplug.find(k, file.device).spec.bus;
      case "pci-bridge": {
        const bridge = bridgeAbove(k.topology, file.device) ?? refuse(vfsRule["VFS-OPEN-1"]);
        return parseAddress(bridge.address).bus;
      }
    }
  },

  /** Whether a bus is another one, or lies behind it. */
  isBelow(k: Kernel, bus: number, top: number): boolean {
    if (bus === top) return true;
    const behind = k.topology.functions.find((spec) => spec.bus === bus);
    const bridge = behind && bridgeAbove(k.topology, behind.name);
    return bridge !== undefined && k.hotplug.isBelow(k, parseAddress(bridge.address).bus, top);
  },

  /** pci_scan_child_bus and pci_bus_add_devices: all are devices first, in the order of their places, and then look for drivers. */
  *add(k: Kernel, found: readonly PciFunction[]): Operation<void> {
    const added = found
      .toSorted(({ spec: one }, { spec: other }) => one.bus - other.bus || one.devfn - other.devfn)
      .map((was) => new PciFunction(was.spec, null, null, null, was));
    // What the model can't tell it says before anything has changed.
    for (const pciFunction of added) if (k.hotplug.looksForDriver(k)) k.driverCore.findMatch(k, pciFunction);
    for (const was of found) k.removed.functions.splice(k.removed.functions.indexOf(was), 1);
    for (const pciFunction of added) {
      k.functions.push(pciFunction);
      k.hotplug.joinGroup(k, pciFunction);
      k.keeps(rule["PCI-RESCAN-3"]);
    }
    for (const pciFunction of added) {
      if (k.hotplug.looksForDriver(k)) yield* k.hotplug.initialProbe(k, pciFunction);
      k.keeps(rule["PCI-RESCAN-5"]);
    }
  },

  /** Whether a function that is found looks for a driver. */
  looksForDriver({ pciBus }: Kernel): boolean {
    return pciBus.autoprobe;
  },

  /** device_initial_probe: what a driver says against the function nobody is told. */
  *initialProbe(k: Kernel, pciFunction: PciFunction): Operation<void> {
    try {
      yield* k.driverCore.attachDevice(k, pciFunction);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
    }
  },

  /** iommu_probe_device */
  joinGroup(k: Kernel, pciFunction: PciFunction): void {
    const { group: id, address } = pciFunction.spec;
    if (id < 0) return;
    const mate = k.functions.find(({ spec, group }) => group && spec.group === id && spec.address !== address);
    const bridge = k.topology.bridges.find((each) => each.group === id)?.address;
    const ofBridge = k.iommuGroups.find(({ bridges }) => bridge !== undefined && bridges.includes(bridge));
    const group = mate?.group ?? ofBridge ?? k.iommu.alloc(k);
    pciFunction.group = group;
    group.members.push(pciFunction);
    k.keeps(rule["PCI-RESCAN-6"]);
  },
};
