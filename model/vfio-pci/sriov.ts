/** vfio-pci as the driver of physical functions: it makes virtual ones, and keeps them. Beside drivers/vfio/pci/vfio_pci_core.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import { SRIOV, sriovAt } from "../pci/sriov-registers.ts";
import { layoutOf } from "./config-layout.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_core.c:${name}`;

export const rule = clauses({
  "VFIO-PCI-SRIOV-1": {
    rule: "virtual functions are made only where the module parameter enable_sriov allows it",
    errno: "ENOENT",
    source: "drivers/vfio/pci/vfio_pci.c:vfio_pci_sriov_configure",
    machine: "noiommu",
  },
  "VFIO-PCI-SRIOV-2": {
    machine: "sriov",
    rule: "virtual functions of a physical one that vfio-pci has are meant for it: by an override, which binds them at once",
    source: source("vfio_pci_bus_notifier"),
    observable: "sysfs",
  },
  "VFIO-PCI-SRIOV-3": {
    machine: "sriov",
    rule: "a physical function is in full power when virtual ones are made, whatever its user has put it in",
    source: source("vfio_pci_core_sriov_configure"),
    observable: "later-call",
  },
  "VFIO-PCI-SRIOV-4": {
    machine: "sriov",
    rule: "a physical function with virtual ones stays in full power, whatever power state is written",
    source: source("vfio_pci_set_power_state"),
    observable: "later-call",
  },
  "VFIO-PCI-SRIOV-5": {
    machine: "sriov",
    ...{ kconfig: ["PM"], observable: "sysfs" },
    rule: "a physical function with virtual ones does not sleep",
    source: source("vfio_pci_core_sriov_configure"),
  },
  "VFIO-PCI-SRIOV-6": {
    machine: "sriov",
    rule: "virtual functions are gone when their physical one loses its driver",
    source: source("vfio_pci_core_unregister_device"),
    observable: "sysfs",
  },
  "VFIO-PCI-SRIOV-7": {
    machine: "sriov",
    rule: "a physical function that has virtual ones already is not taken",
    errno: "EBUSY",
    source: source("vfio_pci_core_register_device"),
    unseen:
      "no other driver of the suite's kernels makes virtual functions, and vfio-pci takes its own along when it leaves",
  },
});

export const steps = {
  /** vfio_pci_sriov_configure */
  *sriovConfigure(k: Kernel, physical: PciFunction, count: number): Operation<void> {
    must(k.topology.sriov, rule["VFIO-PCI-SRIOV-1"]);
    if (count === 0) return yield* k.vfioPci.dropVfs(k, physical);
    k.vfioPci.resume(k, physical);
    k.vfioPci.powerUpForVfs(k, physical);
    k.sriov.enable(k, physical, count);
  },

  /** The PF is brought to D0 for its VFs. */
  powerUpForVfs(k: Kernel, physical: PciFunction): void {
    if (physical.config) k.vfioPci.powerUp(k, physical, physical.config);
    k.keeps(rule["VFIO-PCI-SRIOV-3"]);
  },

  /** vfio_pci_core_sriov_configure of none: waits until nobody has one of them open. */
  *dropVfs(k: Kernel, physical: PciFunction): Operation<void> {
    for (const { vfio } of physical.vfs) if (vfio) k.vfio.mayWaitFor(k, vfio);
    yield* k.sriov.disable(k, physical);
    if (physical.power.engaged) physical.power.asleep = null;
  },

  /** vfio_pci_bus_notifier, and the driver core that finds the override's driver. */
  captureVf(k: Kernel, virtual: PciFunction): void {
    virtual.driverOverride = "vfio-pci";
    if (k.hotplug.looksForDriver(k)) k.driverCore.attachVfio(k, virtual);
    k.keeps(rule["VFIO-PCI-SRIOV-2"]);
  },

  /** The emulated adapter loses its virtual functions when it is reset, until they are made again; how many it counts is untold. */
  losesVfs({ spec, vfs, strays }: PciFunction): void {
    if (vfs.length === 0) return;
    for (const virtual of vfs) virtual.lost = true;
    strays.set(sriovAt(layoutOf(spec, true).physical) + SRIOV.NUM_VFS, null);
  },

  /** The registers of a physical function say how many virtual ones there are. */
  showVfs(pciFunction: PciFunction): void {
    const { spec, vfs, strays, config } = pciFunction;
    strays.delete(sriovAt(layoutOf(spec, true).physical) + SRIOV.NUM_VFS);
    config?.showVfs(vfs.length);
  },

  /** Nothing is told of a virtual function that was lost. */
  mustBeThere({ lost }: PciFunction): void {
    if (lost) throw new Unmodelled("a virtual function whose physical one was reset");
  },
};
