/** Handles that a program has made so far, by kind, as the generator knows them. */

import { IommufdContext } from "../../model/iommufd/objects.ts";
import type { File, FileKind } from "../../model/kernel/file.ts";
import type { Kernel } from "../../model/kernel/kernel.ts";
import type { Machine } from "../../model/machine.ts";
import type { Hardware } from "../../model/pci/hardware.ts";
import type { Value } from "../../model/program.ts";
import type { Dice } from "./dice.ts";

/** An object of an iommufd that has an id, or an address that the kernel chose. */
export interface Named {
  readonly handle: string;
  readonly kind: string;
  /** The object that the id belongs to: an iommufd context, so that ids are mostly used where they mean something. */
  readonly owner: object | null;
}

/** What a call mapped into an IOAS. */
export interface Mapping {
  /** Handle of the address that it brought. */
  readonly iova: string;
  readonly ioas: Value;
  readonly length: Value;
  /** The iommufd context of the IOAS. */
  readonly owner: object | null;
}

/** Memory of a function that a call has mapped. */
export interface MappedMemory {
  readonly handle: string;
  readonly length: number;
  /** Where in its region it begins. */
  readonly offset: number;
  /** What registers are there, where the suite knows. */
  readonly hardware: Hardware | null;
}

const KINDS: readonly FileKind[] = [
  "container",
  "iommufd",
  "group",
  "device",
  "kvm",
  "vm",
  "kvm-vfio",
  "eventfd",
  "memfd",
  "dma-buf",
  "access",
  "migration",
  "fault-queue",
  "vevent-queue",
  "wq",
  "null",
];

/** Whether handles of that kind name descriptors. */
export function isFileKind(kind: string): boolean {
  return (KINDS as readonly string[]).includes(kind);
}

/** One bit per kind of file; what is no kind of file has none. */
export function kindBits(kinds: readonly string[]): number {
  let bits = 0;
  for (const [at, kind] of KINDS.entries()) if (kinds.includes(kind)) bits |= 1 << at;
  return bits;
}

const bitOf = new Map<FileKind, number>(KINDS.map((kind) => [kind, kindBits([kind])]));

/** An open descriptor. */
export interface Open {
  readonly handle: string;
  readonly file: File;
  /** The bit of the file's kind. */
  readonly bit: number;
}

export class Handles {
  readonly #machine: Machine;

  get k(): Kernel {
    return this.#machine.k;
  }

  /** Descriptors that are open. */
  readonly files: Open[] = [];
  /** The kinds of file that are open, as bits. */
  kinds = 0;
  /** Descriptors that were closed; their handles still name a number. */
  readonly closed: string[] = [];
  readonly named: Named[] = [];
  /** The same by owner and kind, because long programs have many. */
  readonly #owned = new Map<object | null, ByKind>();
  readonly #ofAnyone: ByKind = new Map();
  /** Whether there has been a mock, whose addresses are others than those of functions. */
  hasMocks = false;
  readonly mappings: Mapping[] = [];
  readonly memory: MappedMemory[] = [];
  /** Tasks that were started. */
  readonly tasks: string[] = [];
  /** Processes that were made and have not ended, and how many were made. */
  readonly processes: string[] = [];
  forks = 0;
  /** What reads have brought, and how many bytes. */
  readonly data: { readonly handle: string; readonly length: number }[] = [];
  #count = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** A new name: kind and a running number. */
  fresh(kind: string): string {
    return `@${kind}${this.#count++}`;
  }

  /** Notes a descriptor that the last call opened. */
  opened(handle: string): void {
    const file = this.#machine.fileOf(handle);
    if (!file) return;
    // The same call once more: the name is that of the latest.
    const before = this.files.findIndex((entry) => entry.handle === handle);
    if (before >= 0) this.files.splice(before, 1);
    const bit = bitOf.get(file.kind) ?? 0;
    this.files.push({ handle, file, bit });
    this.kinds |= bit;
  }

  /** Notes that a descriptor was closed. */
  close(handle: string): void {
    const at = this.files.findIndex((entry) => entry.handle === handle);
    if (at < 0) return;
    this.files.splice(at, 1);
    this.closed.push(handle);
    this.kinds = 0;
    for (const { bit } of this.files) this.kinds |= bit;
  }

  /** Notes what the last call gave a name to. */
  name(handle: string, kind: string, owner: object | null): void {
    this.named.push({ handle, kind, owner });
    let own = this.#owned.get(owner);
    if (!own) {
      own = new Map();
      this.#owned.set(owner, own);
    }
    for (const byKind of [own, this.#ofAnyone]) {
      const same = byKind.get(kind);
      if (same) same.push(handle);
      else byKind.set(kind, [handle]);
    }
    if (kind === "stdev") this.hasMocks = true;
  }

  /** A descriptor of one of these kinds, given as bits, or undefined. */
  ofKind(dice: Dice, kinds: number): Open | undefined {
    if ((this.kinds & kinds) === 0) return undefined;
    let count = 0;
    for (const { bit } of this.files) if ((kinds & bit) !== 0) count++;
    let nth = dice.roll(count);
    for (const entry of this.files) {
      if ((kinds & entry.bit) !== 0 && nth-- === 0) return entry;
    }
    return undefined;
  }

  /** An id of one of these kinds, of this owner where there is one. */
  id(dice: Dice, kinds: readonly string[], owner: object | null): string | undefined {
    const own = this.#owned.get(owner);
    return (own && pickOfKinds(dice, own, kinds)) ?? pickOfKinds(dice, this.#ofAnyone, kinds);
  }

  /** Something that a call on this context mapped, mostly still there; undefined where there is nothing. */
  mapping(dice: Dice, owner: object | null): Mapping | undefined {
    if (this.mappings.length === 0 || !(owner instanceof IommufdContext)) return undefined;
    for (let tries = 0; tries < 8; tries++) {
      const mapping = this.mappings[dice.roll(this.mappings.length)];
      if (mapping?.owner !== owner) continue;
      const ioas = owner.get(Number(this.#machine.resolve(mapping.ioas)));
      if (ioas?.kind !== "ioas") continue;
      const iova = BigInt(this.#machine.resolve(mapping.iova));
      if (ioas.pagetable.firstArea(iova, iova)) return mapping;
    }
    return undefined;
  }
}

/** Handles by their kind. */
type ByKind = Map<string, string[]>;

/** A handle of one of these kinds, each as likely as another. */
function pickOfKinds(dice: Dice, handles: ByKind, kinds: readonly string[]): string | undefined {
  let count = 0;
  for (const kind of kinds) count += handles.get(kind)?.length ?? 0;
  if (count === 0) return undefined;
  let nth = dice.roll(count);
  for (const kind of kinds) {
    const of = handles.get(kind);
    if (!of) continue;
    if (nth < of.length) return of[nth];
    nth -= of.length;
  }
  return undefined;
}
