/** Virtual functions: how many there are is written to their physical function in sysfs. Beside drivers/pci/iov.c. */
import { parseUnsigned, taken } from "../driver-core/sysfs-text.ts";
import { clauses, must, refuse } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import { PciFunction } from "./function.ts";
import { locksOf } from "./locks.ts";

const store = "drivers/pci/iov.c:sriov_numvfs_store";
const abi = (file: string) => `Documentation/ABI/testing/sysfs-bus-pci:${file}`;

export const rule = clauses({
  "PCI-SRIOV-1": { machine: "sriov", rule: "the text must be a number of 16 bits", errno: "EINVAL", source: store },
  "PCI-SRIOV-2": {
    machine: "sriov",
    rule: "there can't be more virtual functions than sriov_totalvfs says",
    errno: "ERANGE",
    source: store,
  },
  "PCI-SRIOV-3": {
    machine: "sriov",
    rule: "a number that is what it was before is taken, whatever driver the function has",
    source: store,
  },
  "PCI-SRIOV-4": {
    machine: "sriov",
    rule: "the function must have a driver that knows how to make virtual functions",
    errno: "ENOENT",
    source: store,
  },
  "PCI-SRIOV-5": {
    machine: "sriov",
    rule: "virtual functions are made from none: another number takes a zero first",
    errno: "EBUSY",
    source: store,
  },
  "PCI-SRIOV-6": {
    machine: "sriov",
    rule: "the whole text is taken, and so many virtual functions are there",
    source: abi("sriov_numvfs"),
    observable: "sysfs",
  },
  "PCI-SRIOV-7": {
    machine: "sriov",
    rule: "a zero is taken, and no virtual function is left",
    source: abi("sriov_numvfs"),
    observable: "sysfs",
  },
  "PCI-SRIOV-8": {
    machine: "sriov",
    rule: "sriov_totalvfs reads how many virtual functions there can be, sriov_numvfs how many there are",
    source: abi("sriov_totalvfs"),
    observable: "sysfs",
  },
});

const LARGEST = 0xffffn;

export const steps = {
  /** The physical function behind an attribute that only such have: sriov_pf_attrs_are_visible. */
  physical(k: Kernel, name: string): PciFunction {
    const pciFunction = k.functions.find(({ spec }) => spec.name === name);
    must(pciFunction !== undefined && pciFunction.spec.totalVfs > 0, vfsRule["VFS-OPEN-1"]);
    return pciFunction;
  },

  /** sriov_totalvfs_show and sriov_numvfs_show */
  *readVfs(k: Kernel, name: string, file: "sriov_totalvfs" | "sriov_numvfs"): Operation<string> {
    const pciFunction = k.sriov.physical(k, name);
    const { spec, vfs } = pciFunction;
    using _ = file === "sriov_numvfs" ? yield* k.lock(locksOf(pciFunction).device) : null;
    k.keeps(rule["PCI-SRIOV-8"]);
    return `${file === "sriov_totalvfs" ? spec.totalVfs : vfs.length}\n`;
  },

  /** sriov_numvfs_store */
  *writeNumVfs(k: Kernel, name: string, text: string): Operation<number> {
    const pciFunction = k.sriov.physical(k, name);
    const written = taken(text);
    if (written.length === 0) return 0;
    const wanted = parseUnsigned(written);
    must(wanted !== null && wanted <= LARGEST, rule["PCI-SRIOV-1"]);
    must(wanted <= pciFunction.spec.totalVfs, rule["PCI-SRIOV-2"]);
    yield* k.sriov.underLocks(k, pciFunction, k.sriov.configure(k, pciFunction, Number(wanted)));
    return written.length;
  },

  /**
   * Holds the locks of every removal and every rescan over a change of virtual functions, in the order of those. Kernels take
   * them the other way round since they take both: see the fault numvfs-locks-inverted.
   */
  *underLocks(k: Kernel, pciFunction: PciFunction, change: Operation<void>): Operation<void> {
    using _rescan = yield* k.lock(k.removed.lock);
    using _device = yield* k.lock(locksOf(pciFunction).device);
    yield* change;
  },

  /** What sriov_numvfs_store does under its locks. */
  *configure(k: Kernel, pciFunction: PciFunction, wanted: number): Operation<void> {
    if (wanted === pciFunction.vfs.length) {
      k.keeps(rule["PCI-SRIOV-3"]);
      return;
    }
    const { driver } = pciFunction;
    const configure = driver?.sriovConfigure ?? refuse(rule["PCI-SRIOV-4"]);
    must(wanted === 0 || pciFunction.vfs.length === 0, rule["PCI-SRIOV-5"]);
    yield* configure(k, pciFunction, wanted);
    k.keeps(wanted === 0 ? rule["PCI-SRIOV-7"] : rule["PCI-SRIOV-6"]);
  },

  /** pci_enable_sriov: each is a device of its own, alone in its group, and gets a driver as any device that appears. */
  enable(k: Kernel, physical: PciFunction, count: number): void {
    const specs = k.topology.functions.filter(({ physicalFunction }) => physicalFunction === physical.spec.name);
    for (const spec of specs.slice(0, count)) {
      const group = k.iommu.alloc(k);
      const virtual = new PciFunction(spec, group, null, null);
      virtual.physical = physical;
      group.members.push(virtual);
      k.functions.push(virtual);
      physical.vfs.push(virtual);
      k.vfioPci.captureVf(k, virtual);
    }
    k.vfioPci.showVfs(physical);
  },

  /** pci_disable_sriov: one after the other loses its driver, once nobody has it open, and is gone. All count until the last is. */
  *disable(k: Kernel, physical: PciFunction): Operation<void> {
    for (const virtual of physical.vfs) {
      yield* k.hotplug.stopDevice(k, virtual);
      const { group } = virtual;
      k.functions.splice(k.functions.indexOf(virtual), 1);
      if (group) k.iommu.free(k, group);
    }
    physical.vfs.length = 0;
    k.vfioPci.showVfs(physical);
  },
};
