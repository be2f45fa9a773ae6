/**
 * The ranges of memory and of I/O ports that every VGA adapter has, whatever its BARs. Beside vfio_pci_vga_rw of
 * drivers/vfio/pci/vfio_pci_rdwr.c.
 */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { PciFunction } from "../pci/function.ts";
import { PCI_REGION, REGION_SIZE } from "../vfio/device-info.ts";
import { accesses, type Cut, rule as rdwrRule } from "./rdwr.ts";

const source = "drivers/vfio/pci/vfio_pci_rdwr.c:vfio_pci_vga_rw";
const only = { kconfig: ["VFIO_PCI_VGA"], machine: "sriov" } as const;

export const rule = clauses({
  "VFIO-PCI-VGA-1": {
    ...only,
    rule: "only the memory and the I/O ports of a VGA adapter are accessed in its VGA region, and nothing between",
    errno: "EINVAL",
    source,
  },
  "VFIO-PCI-VGA-2": {
    ...only,
    rule: "a transfer that leads out of a VGA range ends with it",
    source,
    observable: "output",
  },
  "VFIO-PCI-VGA-3": {
    ...only,
    rule: "VGA ranges are accessed whatever the command register says of memory",
    source,
  },
});

/** Bytes of the region. */
export const VGA_SIZE = 0xc_0000;

interface VgaRange {
  readonly from: number;
  readonly to: number;
  readonly memory: boolean;
}

export const VGA_RANGES: readonly VgaRange[] = [
  { from: 0x3b0, to: 0x3bc, memory: false },
  { from: 0x3c0, to: 0x3e0, memory: false },
  { from: 0xa_0000, to: VGA_SIZE, memory: true },
];

const NOTHING_KEPT = { from: 0, to: 0 } as const;

export const steps = {
  /** The checks of vfio_pci_vga_rw, and what comes of the transfer. Memory is mapped for it, which takes memory. */
  cutVgaTransfer(k: Kernel, pciFunction: PciFunction, count: number, position: number): Cut {
    must(pciFunction.spec.vga && k.has("VFIO_PCI_VGA"), rdwrRule["VFIO-PCI-RW-3"]);
    const begin = position % REGION_SIZE;
    const range = VGA_RANGES.find(({ from, to }) => begin >= from && begin < to);
    must(range !== undefined, rule["VFIO-PCI-VGA-1"]);
    if (range.memory) k.alloc();
    const left = Math.min(count, range.to - begin);
    if (left < count) k.keeps(rule["VFIO-PCI-VGA-2"]);
    if (!k.vfioPci.memoryEnabled(pciFunction)) k.keeps(rule["VFIO-PCI-VGA-3"]);
    return { bar: PCI_REGION.VGA, count: left, parts: accesses(begin, left, NOTHING_KEPT, 4) };
  },
};
