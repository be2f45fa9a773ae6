/** Reading and writing what is behind a function's BARs and ROM. Beside drivers/vfio/pci/vfio_pci_rdwr.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import type { Transfer } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import type { PciFunction } from "../pci/function.ts";
import type { BarStore } from "../pci/hardware.ts";
import { imagesSize, romOf } from "../pci/rom.ts";
import type { AccessWidth } from "../program.ts";
import type { FunctionSpec } from "../topology.ts";
import { numberIn, readNumber, writeValue } from "../uapi/layout.ts";
import { PCI_REGION, REGION_SIZE } from "../vfio/device-info.ts";
import { COMMAND } from "./config-perms.ts";
import { D3_HOT } from "./config-space.ts";
import { type BarRange, msixTableIn } from "./msix-table.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_rdwr.c:${name}`;

export const rule = clauses({
  "VFIO-PCI-RW-3": {
    rule: "a BAR, ROM or VGA range must be one that the function has, and is accessed from in it",
    errno: "EINVAL",
    source: source("vfio_pci_bar_rw"),
  },
  "VFIO-PCI-RW-5": {
    rule: "a transfer that leads out of a BAR or ROM ends with it",
    source: source("vfio_pci_bar_rw"),
    observable: "output",
  },
  "VFIO-PCI-RW-6": {
    rule: "a ROM must hold an image, which is looked for while the command register enables memory",
    errno: "ENOMEM",
    source: "drivers/pci/rom.c:pci_map_rom",
  },
  "VFIO-PCI-RW-7": {
    rule: "memory behind a BAR is read or written in full power, and while the command register enables it",
    errno: "EIO",
    partial: true,
    source: source("vfio_pci_core_do_io_rw"),
  },
  "VFIO-PCI-RW-8": {
    rule: "the buffer must be writable; what came before is there",
    errno: "EFAULT",
    partial: true,
    source: source("vfio_pci_core_do_io_rw"),
  },
  "VFIO-PCI-RW-9": {
    rule: "the buffer must be readable; what came before is written",
    errno: "EFAULT",
    partial: true,
    source: source("vfio_pci_core_do_io_rw"),
  },
  "VFIO-PCI-RW-10": {
    rule: "a transfer is cut into accesses of one, two and four bytes, each as wide as it can be and aligned",
    source: source("do_io_rw"),
    observable: "output",
    until: "6.10",
  },
  "VFIO-PCI-RW-11": {
    rule: "a transfer is cut into accesses of one, two, four and eight bytes, each as wide as it can be and aligned",
    source: source("vfio_pci_core_do_io_rw"),
    observable: "output",
    since: "6.11",
  },
  "VFIO-PCI-RW-12": {
    rule: "the MSI-X table reads as ones, and drops what is written to it",
    source: source("vfio_pci_core_do_io_rw"),
    observable: "output",
  },
  "VFIO-PCI-RW-13": {
    rule: "a ROM reads as it is up to the end of its last image, and as ones from there to the end of its BAR",
    source: source("vfio_pci_bar_rw"),
    observable: "output",
  },
});

/** One access of a transfer. */
export interface Access {
  /** Offset in the BAR. */
  readonly at: number;
  readonly width: AccessWidth;
  /** Bytes of the transfer before it. */
  readonly done: number;
}

/** A part of a transfer that never gets to the function. */
export interface Kept {
  readonly kept: number;
  readonly done: number;
}

const WIDTHS: readonly AccessWidth[] = [8, 4, 2, 1];

/** The accesses that a transfer is cut into, `widest` at the most, and none into what is kept from users. */
export function accesses(begin: number, count: number, kept: BarRange, widest: AccessWidth): (Access | Kept)[] {
  const parts: (Access | Kept)[] = [];
  for (let done = 0; done < count; ) {
    const at = begin + done;
    const left = count - done;
    if (at >= kept.from && at < kept.to) {
      const length = Math.min(left, kept.to - at);
      parts.push({ kept: length, done });
      done += length;
      continue;
    }
    const room = at < kept.from ? Math.min(left, kept.from - at) : left;
    const width = WIDTHS.find((each) => each <= widest && each <= room && at % each === 0) ?? 1;
    parts.push({ at, width, done });
    done += width;
  }
  return parts;
}

/** An access's bytes of a buffer as the number that is stored. */
function stored({ view }: UserBlock, { done, width }: Access): bigint {
  return width === 8 ? view.getBigUint64(done, true) : BigInt(readNumber(view, done, width, false));
}

/** What is left of a transfer within its region, and how it is cut. */
export interface Cut {
  readonly bar: number;
  readonly count: number;
  readonly parts: readonly (Access | Kept)[];
}

export const steps = {
  /** __vfio_pci_memory_enabled */
  memoryEnabled({ config, spec }: PciFunction): boolean {
    if (!config) return spec.bars.some((bar) => bar?.memory);
    // A virtual function has no such bit: its physical one lets the memory of all of them answer.
    if (spec.physicalFunction !== null) return config.powerState < D3_HOT;
    return config.powerState < D3_HOT && ((config.physical[COMMAND.AT] ?? 0) & COMMAND.MEMORY) !== 0;
  },

  /** The checks of vfio_pci_bar_rw, and what comes of the transfer. */
  cutTransfer(k: Kernel, pciFunction: PciFunction, count: number, position: number): Cut {
    const { spec } = pciFunction;
    const bar = Math.floor(position / REGION_SIZE);
    const begin = position % REGION_SIZE;
    const size = spec.bars[bar]?.size ?? 0;
    must(begin < size, rule["VFIO-PCI-RW-3"]);
    const isRom = bar === PCI_REGION.ROM;
    if (isRom) must(k.vfioPci.mapsRom(k, pciFunction), rule["VFIO-PCI-RW-6"]);
    const left = Math.min(count, size - begin);
    if (left < count) k.keeps(rule["VFIO-PCI-RW-5"]);
    const widest = isRom ? 4 : k.vfioPci.widestAccess(k);
    return { bar, count: left, parts: accesses(begin, left, k.vfioPci.hiddenRange(spec, bar), widest) };
  },

  /** pci_map_rom: memory that does not answer holds no image. */
  mapsRom(_k: Kernel, { config, spec }: PciFunction): boolean {
    if (!config) return spec.romImage;
    return spec.romImage && ((config.physical[COMMAND.AT] ?? 0) & COMMAND.MEMORY) !== 0;
  },

  widestAccess(k: Kernel): AccessWidth {
    return k.since("6.11") ? 8 : 4;
  },

  /** What of a BAR users get not to see: the MSI-X table, and what lies behind the images of a ROM. */
  hiddenRange(spec: FunctionSpec, bar: number): BarRange {
    const rom = bar === PCI_REGION.ROM ? romOf(spec) : null;
    if (rom) return { from: imagesSize(rom), to: spec.bars[bar]?.size ?? 0 };
    return msixTableIn(spec, bar);
  },

  /** vfio_pci_bar_rw, reading */
  *readBar(k: Kernel, pciFunction: PciFunction, { block, count }: Transfer, position: number): Operation<number> {
    return yield* k.vfioPci.readCut(k, pciFunction, block, k.vfioPci.cutTransfer(k, pciFunction, count, position));
  },

  /** vfio_pci_core_do_io_rw, reading. What hardware holds that nobody knows is not compared. */
  *readCut(k: Kernel, pciFunction: PciFunction, block: UserBlock, cut: Cut): Operation<number> {
    const image = block.bytes.slice();
    const view = new DataView(image.buffer);
    for (const part of cut.parts) {
      if ("kept" in part) {
        k.vfioPci.readKept(k, block, image, part);
        k.keeps(rule[cut.bar === PCI_REGION.ROM ? "VFIO-PCI-RW-13" : "VFIO-PCI-RW-12"]);
        continue;
      }
      const { at, width, done } = part;
      using _ = yield* k.vfioPci.testMemory(k, pciFunction, cut.bar);
      const value = k.vfioPci.load(pciFunction, cut.bar, at, width);
      if (value !== null) writeValue(view, done, width, value);
      block.copyTo(image, done, done + width, rule["VFIO-PCI-RW-8"]);
      if (value === null) block.definedUpTo = Math.min(block.definedUpTo, done);
    }
    k.keeps(k.since("6.11") ? rule["VFIO-PCI-RW-11"] : rule["VFIO-PCI-RW-10"]);
    return cut.count;
  },

  /** What is kept from users as it is shown, byte by byte. */
  readKept(_k: Kernel, block: UserBlock, image: Uint8Array, { done, kept }: Kept): void {
    image.fill(0xff, done, done + kept);
    for (let i = done; i < done + kept; i++) block.copyTo(image, i, i + 1, rule["VFIO-PCI-RW-8"]);
  },

  /** vfio_pci_bar_rw, writing */
  *writeBar(k: Kernel, pciFunction: PciFunction, { block, count }: Transfer, position: number): Operation<number> {
    return yield* k.vfioPci.writeCut(k, pciFunction, block, k.vfioPci.cutTransfer(k, pciFunction, count, position));
  },

  /** vfio_pci_core_do_io_rw, writing */
  *writeCut(k: Kernel, pciFunction: PciFunction, block: UserBlock, cut: Cut): Operation<number> {
    k.vfioPci.foreseeWriteBar(k, pciFunction, block, cut);
    for (const part of cut.parts) {
      if ("kept" in part) {
        k.keeps(rule["VFIO-PCI-RW-12"]);
        continue;
      }
      block.copyFrom(part.done + part.width, rule["VFIO-PCI-RW-9"], part.done);
      using _ = yield* k.vfioPci.testMemory(k, pciFunction, cut.bar);
      const { at, width } = part;
      k.vfioPci.store(k, pciFunction, cut.bar, { at, width, value: stored(block, part) });
    }
    k.keeps(k.since("6.11") ? rule["VFIO-PCI-RW-11"] : rule["VFIO-PCI-RW-10"]);
    return cut.count;
  },

  /** Whether accesses of a BAR get to the function: I/O ports always do. */
  reaches(k: Kernel, pciFunction: PciFunction, bar: number): boolean {
    return !pciFunction.spec.bars[bar]?.memory || k.vfioPci.memoryEnabled(pciFunction);
  },

  /** Whether what is to be written can be told: asked before anything has changed. */
  foreseeWriteBar(k: Kernel, pciFunction: PciFunction, block: UserBlock, { bar, parts }: Cut): void {
    if (!k.vfioPci.reaches(k, pciFunction, bar)) return;
    const stores: BarStore[] = [];
    for (const part of parts) {
      if ("kept" in part) continue;
      if (part.done + part.width > block.readable) break;
      stores.push({ at: part.at, width: part.width, value: stored(block, part) });
    }
    k.vfioPci.foreseeStores(k, pciFunction, bar, stores);
  },

  /** Holds the memory's lock over an access; refuses where memory does not answer. I/O ports are not asked about. */
  *testMemory(k: Kernel, pciFunction: PciFunction, bar: number): Operation<Disposable | null> {
    if (!pciFunction.spec.bars[bar]?.memory) return null;
    const held = yield* k.vfioPci.memoryLock(k, pciFunction);
    if (k.vfioPci.memoryEnabled(pciFunction)) return held;
    held[Symbol.dispose]();
    return refuse(rule["VFIO-PCI-RW-7"]);
  },

  /** What a load from a BAR brings, or null where nobody knows. */
  load({ hardware, rom }: PciFunction, bar: number, at: number, width: AccessWidth): bigint | null {
    if (bar === PCI_REGION.ROM) return rom && numberIn(rom.subarray(at, at + width));
    return hardware?.read(bar, at, width) ?? null;
  },

  /** Whether stores to a BAR can be told, and the interrupts that may come of them. Gives whether any may. */
  foreseeStores(k: Kernel, pciFunction: PciFunction, bar: number, stores: readonly BarStore[]): boolean {
    if (stores.length === 0) return false;
    const { hardware } = pciFunction;
    if (!hardware) throw new Unmodelled("what a function does when it is written to");
    const vectors = hardware.foresee(bar, stores, k.iommu.busOf(k, pciFunction));
    for (const vector of vectors) k.intrs.foreseeInterrupt(k, pciFunction, vector);
    return vectors.length > 0;
  },

  /** A store to a BAR, and the interrupt that may come of it. */
  store(k: Kernel, pciFunction: PciFunction, bar: number, store: BarStore): void {
    const { hardware, irqs } = pciFunction;
    const sent = hardware?.write(bar, store, k.iommu.busOf(k, pciFunction)) ?? [];
    for (const vector of sent) k.intrs.messageArrives(k, pciFunction, vector);
    k.intrs.intxArrives(k, irqs);
  },
};
