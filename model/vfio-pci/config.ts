/** Reading and writing the configuration space of a function. Beside drivers/vfio/pci/vfio_pci_config.c. */

import { clauses, must } from "../kernel/clause.ts";
import type { Transfer } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import { REGION_SIZE } from "../vfio/device-info.ts";
import { passes } from "./config-layout.ts";
import { BAR_AT, COMMAND, INTERRUPT_PIN, PM, ROM_AT, STATUS } from "./config-perms.ts";
import { ConfigSpace, isVolatile, noteReset } from "./config-space.ts";
import { steps as writes } from "./config-writes.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_config.c:${name}`;

export const rule = clauses({
  "VFIO-PCI-CONFIG-1": {
    rule: "an access of configuration space must lie in it, from its begin to its end; nothing is moved otherwise",
    errno: "EFAULT",
    source: source("vfio_pci_config_rw_single"),
  },
  "VFIO-PCI-CONFIG-2": {
    rule: "the buffer must be writable; what came before is there",
    errno: "EFAULT",
    partial: true,
    source: source("vfio_pci_config_rw_single"),
  },
  "VFIO-PCI-CONFIG-3": {
    rule: "the buffer must be readable where something can be written; what came before is written",
    errno: "EFAULT",
    partial: true,
    source: source("vfio_pci_config_rw_single"),
  },
  "VFIO-PCI-CONFIG-4": {
    rule: "all bytes are read: what is virtual from the user's copy, anything else from the function",
    source: source("vfio_default_config_read"),
    observable: "output",
  },
  "VFIO-PCI-CONFIG-5": {
    rule: "writes count as done to their end, and change the bits that the user may change",
    source: source("vfio_default_config_write"),
    observable: "later-call",
  },
  "VFIO-PCI-CONFIG-6": {
    rule: "what is written to a capability that nothing of can be written is dropped without being looked at",
    source: source("vfio_pci_config_rw_single"),
    observable: "later-call",
  },
  "VFIO-PCI-CONFIG-7": {
    rule: "registers that nobody describes, and those of the vendor's capabilities, go to the function as they are written",
    source: source("vfio_raw_config_write"),
    observable: "later-call",
  },
  "VFIO-PCI-CONFIG-8": {
    rule: "a BAR reads as it was written, but for the bits that its size and kind leave no choice about; the function keeps its own",
    source: source("vfio_bar_fixup"),
    observable: "output",
  },
  "VFIO-PCI-CONFIG-9": {
    rule: "a BAR that the function has not reads as zero, whatever is written, and so does the ROM's",
    source: source("vfio_bar_fixup"),
    observable: "output",
  },
  "VFIO-PCI-CONFIG-10": {
    rule: "the bits of the command register go to the function, but for that which disables interrupts: that is the user's copy",
    source: source("vfio_basic_config_write"),
    observable: "later-call",
  },
  "VFIO-PCI-CONFIG-11": {
    rule: "the interrupt line is a note of the user's, and the pin tells whether the function can interrupt by one",
    source: source("init_pci_cap_basic_perm"),
    observable: "output",
  },
  "VFIO-PCI-CONFIG-12": {
    rule: "a capability that users are not to see is left out of the list",
    source: source("vfio_cap_init"),
    observable: "output",
    unseen: "no function of the suite's machines has a capability that is hidden",
  },
  "VFIO-PCI-CONFIG-13": {
    rule: "where the first extended capability is hidden, its place has a capability without id and version, and leads to the next",
    source: source("vfio_ecap_init"),
    observable: "output",
    unseen: "no function of the suite's machines has an extended capability that is hidden",
  },
  "VFIO-PCI-CONFIG-24": {
    machine: "sriov",
    rule: "memory of a virtual function is enabled from the start, and the bit reads as it was written",
    source: source("vfio_basic_config_read"),
    observable: "output",
  },
  "VFIO-PCI-CONFIG-14": {
    rule: "when the function is opened the user's copy is made anew",
    source: source("vfio_config_init"),
    observable: "output",
  },
});

/** A part of a transfer: some bytes of one capability, within one aligned word of four. */
export interface Chunk {
  /** Offset in configuration space. */
  readonly at: number;
  readonly width: 1 | 2 | 4;
  /** Bytes of the transfer before it. */
  readonly done: number;
}

/** The parts that a transfer is cut into: aligned, and none of two capabilities. */
export function* chunks(space: ConfigSpace, begin: number, count: number): Generator<Chunk> {
  for (let done = 0; done < count; ) {
    const at = begin + done;
    const own = space.region(at);
    let length = 1;
    while ((at + length) % 4 !== 0 && space.region(at + length) === own) length++;
    length = Math.min(length, count - done);
    const width = length >= 4 && at % 4 === 0 ? 4 : length >= 2 && at % 2 === 0 ? 2 : 1;
    yield { at, width, done };
    done += width;
  }
}

/** Whether a chunk touches a BAR's register. */
const isBar = (at: number): boolean => (at >= BAR_AT && at < BAR_AT + 24) || (at >= ROM_AT && at < ROM_AT + 4);

export const steps = {
  ...writes,

  /** The configuration space of an open function. */
  configSpace(k: Kernel, pciFunction: PciFunction): ConfigSpace {
    pciFunction.config ??= new ConfigSpace(pciFunction, k.since("6.4"));
    return pciFunction.config;
  },

  /** vfio_pci_config_rw, reading */
  *readConfig(k: Kernel, pciFunction: PciFunction, { block, count }: Transfer, position: number): Operation<number> {
    const begin = position % REGION_SIZE;
    must(begin + count <= pciFunction.spec.configSize, rule["VFIO-PCI-CONFIG-1"]);
    if (!pciFunction.config) k.keeps(rule["VFIO-PCI-CONFIG-14"]);
    const space = k.vfioPci.configSpace(k, pciFunction);
    k.vfioPci.foreseeRead(k, space, begin, count);
    const image = block.bytes.slice();
    for (const { at, width, done } of chunks(space, begin, count)) {
      for (let i = 0; i < width; i++) image[done + i] = k.vfioPci.configByte(k, space, at + i);
      block.copyTo(image, done, done + width, rule["VFIO-PCI-CONFIG-2"]);
    }
    k.vfioPci.noteRead(k, space, begin, count);
    return count;
  },

  /** Bytes that hardware changes by itself can't be told, except where nothing drives the function: see isVolatile(). */
  foreseeRead(k: Kernel, space: ConfigSpace, begin: number, count: number): void {
    for (let at = begin; at < begin + count; at++) {
      if (space.keeps === null && isVolatile(space, at)) throw new Unmodelled("what hardware changes by itself");
      if (at === STATUS.AT) k.intrs.foreseeLevel(space.irqs);
      space.read(at);
    }
  },

  /** A byte as a user sees it: vfio_default_config_read. */
  configByte(k: Kernel, space: ConfigSpace, at: number): number {
    const region = space.region(at);
    if (!region) return space.read(at);
    let virtual = region.permissions.virtual[at - region.start] ?? 0;
    if (space.isVirtual && at === COMMAND.AT) {
      // Memory of virtual functions always answers: the bit is the user's note, or the function's.
      if (space.read(at) & COMMAND.MEMORY) virtual &= ~COMMAND.MEMORY;
      else virtual |= COMMAND.MEMORY;
      k.keeps(rule["VFIO-PCI-CONFIG-24"]);
    }
    if (virtual === 0xff) return space.virtual[at] ?? 0;
    if (space.isMsixControl(region, at)) return k.vfioPci.msixControl(k, space, at);
    const own = at === STATUS.AT && space.irqs.hardware?.line ? space.read(at) | STATUS.INTERRUPT : space.read(at);
    return (own & ~virtual) | ((space.virtual[at] ?? 0) & virtual);
  },

  noteRead(k: Kernel, space: ConfigSpace, begin: number, count: number): void {
    k.keeps(rule["VFIO-PCI-CONFIG-4"]);
    const has = (at: number): boolean => begin <= at && at < begin + count;
    for (let bar = 0; bar <= 6; bar++) {
      if (!has(bar === 6 ? ROM_AT : BAR_AT + 4 * bar)) continue;
      k.keeps(space.spec.bars[bar] ? rule["VFIO-PCI-CONFIG-8"] : rule["VFIO-PCI-CONFIG-9"]);
    }
    if (has(INTERRUPT_PIN)) k.keeps(rule["VFIO-PCI-CONFIG-11"]);
    if (space.layout.hidden) k.keeps(rule["VFIO-PCI-CONFIG-12"]);
    if (space.layout.hiddenFirst) k.keeps(rule["VFIO-PCI-CONFIG-13"]);
  },

  /** vfio_pci_config_rw, writing */
  *writeConfig(k: Kernel, pciFunction: PciFunction, { block, count }: Transfer, position: number): Operation<number> {
    const begin = position % REGION_SIZE;
    must(begin + count <= pciFunction.spec.configSize, rule["VFIO-PCI-CONFIG-1"]);
    const space = k.vfioPci.configSpace(k, pciFunction);
    for (const chunk of chunks(space, begin, count)) {
      if (chunk.done + chunk.width <= block.readable) k.vfioPci.foreseeWrite(space, chunk, block.bytes);
    }
    for (const chunk of chunks(space, begin, count)) {
      const region = space.region(chunk.at);
      if (region?.permissions.writable === null) {
        k.keeps(rule["VFIO-PCI-CONFIG-6"]);
        continue;
      }
      block.copyFrom(chunk.done + chunk.width, rule["VFIO-PCI-CONFIG-3"], chunk.done);
      yield* k.vfioPci.writeChunk(k, pciFunction, space, chunk, block.bytes);
    }
    k.keeps(rule["VFIO-PCI-CONFIG-5"]);
    return count;
  },

  /** Refuses to tell what can't be told, before anything is done. */
  foreseeWrite(space: ConfigSpace, { at, width, done }: Chunk, bytes: Uint8Array): void {
    const region = space.region(at);
    if (region?.permissions.kind === "vpd") throw new Unmodelled("a function's vital product data");
    for (let i = 0; i < width; i++) {
      const bits = passes(space.region(at + i), at + i);
      if (bits !== 0 && !space.foretells(at + i, bytes[done + i] ?? 0, bits)) {
        throw new Unmodelled("what a function keeps that nobody has tried out");
      }
    }
  },

  /** vfio_basic_config_write, or that of the capability */
  *writeChunk(
    k: Kernel,
    pciFunction: PciFunction,
    space: ConfigSpace,
    chunk: Chunk,
    bytes: Uint8Array,
  ): Operation<void> {
    const region = space.region(chunk.at);
    k.vfioPci.storeBits(space, chunk, bytes);
    if (!region || region.permissions.writable === "raw") {
      k.keeps(rule["VFIO-PCI-CONFIG-7"]);
      return;
    }
    const offset = chunk.at - region.start;
    switch (region.permissions.kind) {
      case "header": {
        if (isBar(offset)) space.fixBars();
        if (offset === COMMAND.AT) {
          k.vfioPci.noteMemory(space, bytes[chunk.done] ?? 0);
          using _ = yield* k.vfioPci.memoryLock(k, pciFunction);
          const enables = ((bytes[chunk.done] ?? 0) & COMMAND.MEMORY) !== 0;
          if (!enables) yield* k.vfioPci.takeBuffersBack(k, pciFunction);
          k.vfioPci.returnBuffers(k, pciFunction);
          k.keeps(rule["VFIO-PCI-CONFIG-10"]);
        }
        if (offset === COMMAND.AT || offset === COMMAND.AT + 1) k.vfioPci.disableIntxBit(k, space);
        return;
      }
      case "pm":
        if (offset === PM.CONTROL)
          yield* k.vfioPci.setPower(k, pciFunction, space, (bytes[chunk.done] ?? 0) & PM.STATE);
        return;
      case "msi":
        return k.vfioPci.fixMsi(k, space, region, chunk);
      case "express":
        return yield* k.vfioPci.expressWritten(k, pciFunction, space, region);
      case "af":
        return yield* k.vfioPci.afWritten(k, pciFunction, space, region);
    }
  },

  /** What a user wrote of the command register's bit for memory, which a virtual function has not. */
  noteMemory(space: ConfigSpace, written: number): void {
    if (!space.isVirtual) return;
    space.setVirtual(COMMAND.AT, ((space.virtual[COMMAND.AT] ?? 0) & ~COMMAND.MEMORY) | (written & COMMAND.MEMORY));
  },

  /** vfio_default_config_write: virtual bits go to the copy, others to the function. */
  storeBits(space: ConfigSpace, { at, width, done }: Chunk, bytes: Uint8Array): void {
    const region = space.region(at);
    for (let i = 0; i < width; i++) {
      const value = bytes[done + i] ?? 0;
      space.write(at + i, value, passes(space.region(at + i), at + i));
      if (!region || region.permissions.writable === "raw" || region.permissions.writable === null) continue;
      const offset = at + i - region.start;
      const own = (region.permissions.virtual[offset] ?? 0) & (region.permissions.writable[offset] ?? 0);
      if (own !== 0) space.setVirtual(at + i, ((space.virtual[at + i] ?? 0) & ~own) | (value & own));
    }
  },

  /**
   * The function was reset, in full power: the user's copy stays as it is, and of the function's registers those that describe
   * themselves are put back.
   */
  resetRegisters(k: Kernel, pciFunction: PciFunction): void {
    if (pciFunction.config) k.vfioPci.powerUp(k, pciFunction, pciFunction.config);
    noteReset(pciFunction);
    k.vfioPci.losesVfs(pciFunction);
  },

  /** vfio_config_free, and what is done to the function when its last user goes */
  closeConfig(k: Kernel, pciFunction: PciFunction): void {
    k.vfioPci.losesVfs(pciFunction);
    pciFunction.config = null;
    if (pciFunction.spec.resettable) noteReset(pciFunction);
  },
};
