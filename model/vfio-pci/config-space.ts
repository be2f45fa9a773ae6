/** The configuration space of an open function: what the function's own registers hold, and the user's copy. */
import { Unmodelled } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import { SRIOV, sriovAt, VFS_ENABLED } from "../pci/sriov-registers.ts";
import type { FunctionSpec } from "../topology.ts";
import { type ConfigLayout, layoutOf, type Region } from "./config-layout.ts";
import { COMMAND, EXPRESS, INTERRUPT_PIN, MSIX, PM, ROM_AT } from "./config-perms.ts";
import type { FunctionIrqs } from "./function-irqs.ts";

/** Where extended capabilities begin. */
const EXTENDED = 0x100;

/** Power states that a user can ask for. */
export const D0 = 0;
export const D3_HOT = 3;

/** See the file's comment. Made when the function is used first after it was opened, for nothing has changed it until then. */
export class ConfigSpace {
  readonly layout: ConfigLayout;
  /** Registers of the function that the user's accesses may reach, but for `strays`. */
  readonly physical: Uint8Array;
  /** vconfig: the user's copy. */
  readonly virtual: Uint8Array;
  /** What the function keeps of what is written, or null where nobody knows. */
  readonly keeps: Uint8Array | null;
  /** Where power management is, or 0. */
  readonly powerAt: number;
  /** Registers that nobody puts back, by offset, where they were written; null where a reset may have changed them. */
  readonly strays: Map<number, number | null>;
  /** The registers as they were when the function went to D3hot, where it forgets them on its way back. */
  saved: Uint8Array | null = null;
  readonly spec: FunctionSpec;
  readonly irqs: FunctionIrqs;
  #hash = 0;

  constructor({ spec, strays, irqs, vfs }: PciFunction, knowsDvsec: boolean) {
    this.spec = spec;
    this.layout = layoutOf(spec, knowsDvsec);
    this.physical = this.layout.physical.slice();
    this.virtual = this.layout.virtual.slice();
    this.keeps = this.layout.keeps;
    this.strays = strays;
    this.irqs = irqs;
    const power = this.layout.regions.find((region) => region?.permissions.kind === "pm");
    this.powerAt = power ? power.start : 0;
    this.#enable();
    if (vfs.length > 0) this.showVfs(vfs.length);
    this.#hash = 0;
  }

  /** vfio_pci_core_enable: in full power, its BARs answering, no bus master; and what is virtual from the start. */
  #enable(): void {
    const { physical, virtual, spec } = this;
    const bars = spec.bars.slice(0, 6);
    let command = word(physical, COMMAND.AT) & ~(COMMAND.MASTER | COMMAND.INTX_DISABLE);
    if (bars.some((bar) => bar?.memory)) command |= COMMAND.MEMORY;
    if (bars.some((bar) => bar && !bar.memory)) command |= COMMAND.IO;
    setWord(virtual, COMMAND.AT, command);
    // A virtual function has no such bit of its own; where an emulated one has it all the same, it keeps it.
    if (this.isVirtual && this.keeps) command &= word(this.keeps, COMMAND.AT) | ~COMMAND.MEMORY;
    setWord(physical, COMMAND.AT, command);
    if (this.powerAt !== 0) {
      const control = this.powerAt + PM.CONTROL;
      setWord(physical, control, word(physical, control) & PM.NO_SOFT_RESET);
    }
    setWord(virtual, 0, spec.vendor);
    setWord(virtual, 2, spec.device);
    if (!spec.intx) virtual[INTERRUPT_PIN] = 0;
    this.fixBars();
  }

  /** vfio_bar_fixup: the bits of the copy that stand still, because a BAR is as large as it is. */
  fixBars(): void {
    for (let bar = 0; bar < 6; bar++) {
      const at = 0x10 + 4 * bar;
      const own = this.spec.bars[bar];
      this.#fixBar(at, own?.size ?? 0);
      // Memory that lies anywhere takes the next register for the upper half of its address.
      if (own?.memory && ((this.physical[at] ?? 0) & 6) === 4) {
        bar++;
        const upper = own.size > 0xffff_ffff ? -Math.floor(own.size / 2 ** 32) : 0xffff_ffff;
        this.#keepBits(at + 4, upper, 0);
      }
    }
    const rom = this.spec.bars[6];
    this.#keepBits(ROM_AT, rom ? ~(rom.size - 1) | 1 : 0, 0);
  }

  #fixBar(at: number, size: number): void {
    if (size === 0) this.#keepBits(at, 0, 0);
    else this.#keepBits(at, ~(size - 1), (this.physical[at] ?? 0) & ((this.physical[at] ?? 0) & 1 ? 1 : 0xf));
  }

  #keepBits(at: number, mask: number, flags: number): void {
    for (let i = 0; i < 4; i++) {
      const bits = (mask >>> (8 * i)) & 0xff;
      this.setVirtual(at + i, ((this.virtual[at + i] ?? 0) & bits) | ((flags >>> (8 * i)) & 0xff));
    }
  }

  /** Whether it is that of a virtual function. */
  get isVirtual(): boolean {
    return this.spec.physicalFunction !== null;
  }

  /** Of a physical function: so many virtual ones are there, and its registers say so. */
  showVfs(count: number): void {
    const at = sriovAt(this.physical);
    const control = this.physical[at + SRIOV.CONTROL] ?? 0;
    this.#set(at + SRIOV.CONTROL, count > 0 ? control | VFS_ENABLED : control & ~VFS_ENABLED);
    this.#set(at + SRIOV.NUM_VFS, count);
  }

  #set(at: number, value: number): void {
    const before = this.physical[at] ?? 0;
    this.physical[at] = value;
    this.#note(at, before, value);
  }

  region(at: number): Region | null {
    return this.layout.regions[at] ?? null;
  }

  /** A byte of the function's own registers. */
  read(at: number): number {
    const stray = this.strays.get(at);
    if (stray === null) throw new Unmodelled("what a reset leaves of a register that nobody puts back");
    return stray ?? this.physical[at] ?? 0;
  }

  /** Writes bits of a byte of the function's own; it keeps those that it has. */
  write(at: number, value: number, bits: number): void {
    const kept = bits & (this.keeps?.[at] ?? 0);
    if (kept === 0) return;
    if (isStray(this.region(at))) {
      const before = kept === 0xff ? 0 : this.read(at);
      this.strays.set(at, (before & ~kept) | (value & kept));
      return;
    }
    const before = this.physical[at] ?? 0;
    const after = (before & ~kept) | (value & kept);
    this.physical[at] = after;
    this.#note(at, before, after);
  }

  /** Whether it is known what the function keeps of these bits of a byte. */
  foretells(at: number, value: number, bits: number): boolean {
    if (this.keeps !== null && (bits & (this.keeps[at] ?? 0)) === 0xff) return true;
    const before = this.read(at);
    return this.keeps !== null || ((before ^ value) & bits) === 0;
  }

  setVirtual(at: number, value: number): void {
    const before = this.virtual[at] ?? 0;
    if (before === value) return;
    this.virtual[at] = value;
    this.#note(at + 0x1000, before, value);
  }

  /** A sum over what each byte holds, kept up as they change. */
  #note(at: number, before: number, after: number): void {
    this.#hash = (this.#hash + Math.imul(at + 1, 0x9e3779b1) * (after - before)) | 0;
  }

  /** Whether a byte is the one that says whether MSI-X is enabled, which the function's driver sets. */
  isMsixControl({ start }: Region, at: number): boolean {
    return at === start + MSIX.CONTROL + 1 && start < EXTENDED && this.physical[start] === MSIX.ID;
  }

  /** Whether D3hot costs the function its registers: it is not said to keep them. */
  get resetByD3(): boolean {
    return this.powerAt !== 0 && (word(this.physical, this.powerAt + PM.CONTROL) & PM.NO_SOFT_RESET) === 0;
  }

  get powerState(): number {
    return this.powerAt === 0 ? D0 : (this.physical[this.powerAt + PM.CONTROL] ?? 0) & PM.STATE;
  }

  /** Puts the power state into the control register; back in full power, the rest of that is cleared. */
  setPowerState(state: number): void {
    const at = this.powerAt + PM.CONTROL;
    const before = word(this.physical, at);
    const after = state === D0 ? before & PM.NO_SOFT_RESET : (before & ~PM.STATE) | state;
    setWord(this.physical, at, after);
    this.#note(at, before, after);
  }

  /** Gives the registers back what they were. */
  restore(saved: Uint8Array): void {
    for (let at = 0; at < saved.length; at++) {
      const before = this.physical[at] ?? 0;
      const after = saved[at] ?? 0;
      if (before === after) continue;
      this.physical[at] = after;
      this.#note(at, before, after);
    }
  }

  /** A number that is another where anything in here is; 0 where it is as it was when the function was opened. */
  trace(): number {
    return this.#hash ^ (this.saved ? 1 : 0);
  }
}

/**
 * Whether what is written there is left to the function: registers that nobody describes, and those that the kernel does not
 * put back when the function is reset or closed.
 */
export function isStray(region: Region | null): boolean {
  switch (region?.permissions.kind) {
    case "header":
    case "pm":
    case "express":
      return false;
    case "plain":
      return region.start >= EXTENDED || region.permissions.writable === "raw";
    default:
      return true;
  }
}

/**
 * Registers that hardware changes by itself: errors and the interrupt in the header's status, errors and transactions of a
 * PCI Express device and of its link, what error reporting has logged, interrupts that wait. The functions of the suite's own
 * machines are driven by nobody, so theirs stand still; of hardware they can't be told.
 */
export function isVolatile(space: ConfigSpace, at: number): boolean {
  const region = space.region(at);
  // What nobody describes may be anything.
  if (!region) return true;
  const offset = at - region.start;
  switch (region.permissions.kind) {
    case "header":
      return offset === 6 || offset === 7;
    case "express":
      return (offset >= EXPRESS.CONTROL + 2 && offset < EXPRESS.CONTROL + 4) || offset >= 0x12;
    case "msi":
      return offset >= 16;
    case "plain":
      return region.start >= 0x100 && offset >= 4;
    default:
      return false;
  }
}

/** The function was reset: strays may be anything now, unless they were left alone, and so may registers behind its BARs. */
export function noteReset({ strays, hardware }: PciFunction): void {
  for (const at of strays.keys()) strays.set(at, null);
  hardware?.disturb();
}

/** A number for the strays that were written. */
export function traceStrays({ strays }: PciFunction): number {
  let sum = strays.size;
  for (const [at, value] of strays) sum = (sum + Math.imul(at + 1, 0x85ebca6b) * (value ?? 257)) | 0;
  return sum;
}

export const word = (bytes: Uint8Array, at: number): number => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);

function setWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff;
  bytes[at + 1] = (value >> 8) & 0xff;
}
