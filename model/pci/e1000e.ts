/**
 * QEMU's model of Intel's 82574: what its interrupt registers do. After the datasheet, 7.1.2, 7.4 and 10.2.4, as far as all
 * releases of QEMU keep to it. Of everything else behind its BARs nobody knows.
 *
 * Resets may change the registers or not: until a user sets them anew, as drivers do first of all, nobody knows what they hold.
 */
import { Unmodelled } from "../kernel/operation.ts";
import type { AccessWidth } from "../program.ts";
import type { BarStore, Hardware, LeftWork, RegisterStore, Signalling } from "./hardware.ts";

const REGISTER = {
  /** What asks for an interrupt: reading it takes all back (with MSI-X only where all are masked), and ones take theirs back. */
  CAUSE: 0xc0,
  CAUSE_SET: 0xc8,
  /** Which causes interrupt: ones add to them. */
  MASK_SET: 0xd0,
  MASK_CLEAR: 0xd8,
  /** The vectors of MSI-X by their causes. */
  VECTORS: 0xe4,
} as const;

const ALL = 0xffff_ffff;
/** Causes of two receive queues, two transmit queues and of all other: each has a vector of its own with MSI-X. */
const CAUSES = [20, 21, 22, 23, 24] as const;
const KNOWN_CAUSES = CAUSES.reduce((sum, bit) => sum | (1 << bit), 0);
/** Bits of VECTORS for a cause: a vector's number, and whether there is one. */
const VECTOR = { BITS: 4, NUMBER: 7, VALID: 8 } as const;
const VECTOR_COUNT = 5;

/** What the interrupt registers hold; causes that nobody knows are masked. */
interface Registers {
  readonly causes: number | null;
  readonly mask: number;
}

export class E1000e implements Hardware {
  static readonly VENDOR = 0x8086;
  static readonly DEVICE = 0x10d3;
  static readonly REGISTER = REGISTER;
  static readonly CAUSES = CAUSES;
  static readonly ALL = ALL;
  /** It interrupts once in 128 us. */
  static readonly LEFT: LeftWork = { from: REGISTER.CAUSE, to: REGISTER.VECTORS + 4, nanoseconds: 1_000_000 };
  /** Nothing interrupts any more, and the line is let go. */
  static readonly RESTORE: readonly RegisterStore[] = [
    { at: REGISTER.MASK_CLEAR, width: 4, value: ALL },
    { at: REGISTER.CAUSE, width: 4, value: ALL },
  ];

  readonly throttled = true;
  line: boolean | null = false;
  #how: Signalling = "line";
  /** null where nobody knows. */
  #causes: number | null = null;
  #mask: number | null = null;
  #vectors: number | null = null;
  /** Causes for which a message was sent, and that are still there. */
  #told = 0;

  read(bar: number, at: number, width: AccessWidth): null {
    const reads = bar === 0 && at < REGISTER.CAUSE + 4 && at + width > REGISTER.CAUSE;
    if (!reads || this.#causes === null || (this.#how === "msix" && this.#mask !== 0)) return null;
    this.#causes = 0;
    this.#update();
    return null;
  }

  foresee(bar: number, stores: readonly BarStore[]): readonly number[] {
    if (bar !== 0) throw new Unmodelled("what a network adapter does when it is written to");
    if (stores.length > 1) throw new Unmodelled("interrupts that follow each other too fast");
    const [store] = stores;
    if (!store) return [];
    if (store.at === REGISTER.VECTORS && store.width === 4) return [];
    const next = this.#after(store);
    if (!next) throw new Unmodelled("what a network adapter does when it is written to");
    return this.#fires(next);
  }

  write(_bar: number, store: BarStore): readonly number[] {
    if (store.at === REGISTER.VECTORS) {
      this.#vectors = Number(store.value);
      return [];
    }
    const next = this.#after(store);
    if (!next) return [];
    const messages = this.#how === "line" ? [] : this.#fires(next);
    this.#mask = next.mask;
    this.#causes = next.causes;
    this.#update();
    return messages;
  }

  /** The registers after a store, or undefined where nobody knows. Those that were reset want to be cleared first, the mask before all. */
  #after({ at, width, value: wide }: BarStore): Registers | undefined {
    if (width !== 4) return undefined;
    const value = Number(wide);
    if (at === REGISTER.MASK_CLEAR && value === ALL) return { mask: 0, causes: this.#causes };
    const mask = this.#mask;
    if (mask === null) return undefined;
    if (at === REGISTER.CAUSE && value === ALL) return { mask, causes: 0 };
    const causes = this.#causes;
    if (causes === null || (value & ~KNOWN_CAUSES) !== 0) return undefined;
    switch (at) {
      case REGISTER.CAUSE:
        return { mask, causes: causes & ~value };
      case REGISTER.CAUSE_SET:
        return { mask, causes: causes | value };
      case REGISTER.MASK_SET:
        return { mask: mask | value, causes };
      case REGISTER.MASK_CLEAR:
        return { mask: mask & ~value, causes };
      default:
        return undefined;
    }
  }

  /** The vectors that are signalled once the registers hold that; the line is the first. */
  #fires({ mask, causes }: Registers): readonly number[] {
    const pending = mask & (causes ?? 0);
    if (this.#how === "line") return pending === 0 ? [] : [0];
    const fresh = pending & ~this.#told;
    if (this.#how === "msi" || fresh === 0) return fresh === 0 ? [] : [0];
    const vectors = CAUSES.flatMap((bit, place) => (fresh & (1 << bit) ? this.#vectorOf(place) : []));
    if (new Set(vectors).size < vectors.length) throw new Unmodelled("interrupts that follow each other too fast");
    return vectors;
  }

  #vectorOf(place: number): readonly number[] {
    if (this.#vectors === null) throw new Unmodelled("vectors that nobody has set");
    const entry = this.#vectors >>> (place * VECTOR.BITS);
    const vector = entry & VECTOR.NUMBER;
    return (entry & VECTOR.VALID) !== 0 && vector < VECTOR_COUNT ? [vector] : [];
  }

  #update(): void {
    const pending = (this.#mask ?? 0) & (this.#causes ?? 0);
    this.#told = this.#how === "line" ? 0 : pending;
    this.line = this.#how === "line" && pending !== 0;
  }

  signalBy(how: Signalling): void {
    if (how === this.#how) return;
    this.#how = how;
    if (how !== "line") this.line = false;
    // Releases differ in what they make of causes that another way has told.
    if (this.#mask === null || this.#causes === null || (this.#mask & this.#causes) !== 0) this.disturb();
    this.#told = 0;
  }

  disturb(): void {
    this.#causes = null;
    this.#mask = null;
    this.#vectors = null;
    this.#told = 0;
    if (this.line) this.line = null;
  }

  trace(): number {
    let sum = this.#told;
    if (this.#causes !== null) sum = (sum + Math.imul(this.#causes + 1, 3)) | 0;
    if (this.#mask !== null) sum = (sum + Math.imul(this.#mask + 1, 5)) | 0;
    if (this.#vectors !== null) sum = (sum + Math.imul(this.#vectors + 1, 7)) | 0;
    return Math.imul(sum, 4) + (this.line === null ? 2 : this.line ? 1 : 0);
  }
}
