/** BARs that are mapped. Beside vfio_pci_core_mmap and the fault handler of drivers/vfio/pci/vfio_pci_core.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { PAGE } from "../kernel/memory-map.ts";
import type { Operation } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import type { AccessWidth } from "../program.ts";
import { PCI_REGION, REGION_SIZE } from "../vfio/device-info.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_core.c:${name}`;

export const rule = clauses({
  "VFIO-PCI-MMAP-1": {
    rule: "a mapping must be of a region that there is",
    errno: "EINVAL",
    source: source("vfio_pci_core_mmap"),
  },
  "VFIO-PCI-MMAP-2": {
    rule: "a mapping must be shared, for which the descriptor must be open for writing",
    errno: "EINVAL",
    source: source("vfio_pci_core_mmap"),
  },
  "VFIO-PCI-MMAP-3": {
    rule: "a BAR can be mapped where its information says so, and nothing else can",
    errno: "EINVAL",
    source: "include/uapi/linux/vfio.h:VFIO_REGION_INFO_FLAG_MMAP",
  },
  "VFIO-PCI-MMAP-4": {
    rule: "a mapping ends with the BAR, or with the page in which the BAR does",
    errno: "EINVAL",
    source: source("vfio_pci_core_mmap"),
  },
  "VFIO-PCI-MMAP-5": {
    rule: "the BAR is mapped, its MSI-X table too, whether its memory answers or not",
    source: source("vfio_pci_core_mmap"),
  },
  "VFIO-PCI-FAULT-1": {
    rule: "a mapping is accessed while memory answers: in full power, and while the command register enables it",
    errno: "SIGBUS",
    source: source("vfio_pci_mmap_huge_fault"),
  },
  "VFIO-PCI-FAULT-2": {
    rule: "a mapping is not accessed while the function may sleep",
    errno: "SIGBUS",
    source: source("vfio_pci_vmf_insert_pfn"),
  },
  "VFIO-PCI-FAULT-3": {
    rule: "a load or store of a mapping is one access of the function",
    source: source("vfio_pci_mmap_huge_fault"),
    observable: "output",
  },
});

/** A place in a BAR, by its offset in the device's file. */
const placeOf = (offset: number): readonly [bar: number, at: number] => [
  Math.floor(offset / REGION_SIZE),
  offset % REGION_SIZE,
];
const inPages = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;

export const steps = {
  /** vfio_pci_core_mmap */
  mapBar(k: Kernel, { spec }: PciFunction, length: number, offset: number, shared: boolean): number {
    const [index, begin] = placeOf(offset);
    must(index < PCI_REGION.COUNT, rule["VFIO-PCI-MMAP-1"]);
    must(shared, rule["VFIO-PCI-MMAP-2"]);
    const bar = index < PCI_REGION.ROM ? spec.bars[index] : null;
    must(bar?.mappable === true, rule["VFIO-PCI-MMAP-3"]);
    must(k.vfioPci.fitsBar(bar.size, begin, length), rule["VFIO-PCI-MMAP-4"]);
    k.keeps(rule["VFIO-PCI-MMAP-5"]);
    return k.chooseAddress();
  },

  fitsBar(size: number, begin: number, length: number): boolean {
    return begin + inPages(length) <= inPages(size);
  },

  /** Whoever takes memory away takes the mappings along (vfio_pci_zap_bars), so that the next access faults. */
  *fault(k: Kernel, pciFunction: PciFunction): Operation<void> {
    using _ = yield* k.lock(k.mm.mmapLock);
    using _memory = yield* k.vfioPci.memoryLock(k, pciFunction);
    must(!pciFunction.power.engaged, rule["VFIO-PCI-FAULT-2"]);
    must(k.vfioPci.memoryEnabled(pciFunction), rule["VFIO-PCI-FAULT-1"]);
  },

  *loadMapped(k: Kernel, pciFunction: PciFunction, offset: number, width: AccessWidth): Operation<bigint | null> {
    yield* k.vfioPci.fault(k, pciFunction);
    k.keeps(rule["VFIO-PCI-FAULT-3"]);
    return k.vfioPci.load(pciFunction, ...placeOf(offset), width);
  },

  *storeMapped(
    k: Kernel,
    pciFunction: PciFunction,
    offset: number,
    width: AccessWidth,
    value: bigint,
  ): Operation<void> {
    yield* k.vfioPci.fault(k, pciFunction);
    const [bar, at] = placeOf(offset);
    k.vfioPci.foreseeStores(k, pciFunction, bar, [{ at, width, value }]);
    k.vfioPci.store(k, pciFunction, bar, { at, width, value });
    k.keeps(rule["VFIO-PCI-FAULT-3"]);
  },
};
