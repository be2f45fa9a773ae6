/** Handles that a program has made so far, by kind, as the generator knows them. */
import type { File, FileKind } from "../../model/kernel/file.ts";
import type { Machine } from "../../model/machine.ts";
import { type Dice, pick } from "./dice.ts";

/** An object of an iommufd that has an id, or an address that the kernel chose. */
export interface Named {
  readonly handle: string;
  readonly kind: string;
  /** The object that the id belongs to: an iommufd context, so that ids are mostly used where they mean something. */
  readonly owner: object | null;
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
  "null",
];

/** One bit per kind of file. */
export function kindBit(kind: FileKind): number {
  return 1 << KINDS.indexOf(kind);
}

export class Handles {
  readonly #machine: Machine;
  /** Descriptors that are open. */
  readonly files: { readonly handle: string; readonly file: File }[] = [];
  /** Descriptors that were closed; their handles still name a number. */
  readonly closed: string[] = [];
  readonly named: Named[] = [];
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
    if (file) this.files.push({ handle, file });
  }

  /** Notes that a descriptor was closed. */
  close(handle: string): void {
    const at = this.files.findIndex((entry) => entry.handle === handle);
    if (at < 0) return;
    this.files.splice(at, 1);
    this.closed.push(handle);
  }

  /** A descriptor of one of these kinds, or undefined. */
  ofKind(dice: Dice, kinds: readonly string[]): { readonly handle: string; readonly file: File } | undefined {
    let count = 0;
    for (const entry of this.files) if (kinds.includes(entry.file.kind)) count++;
    if (count === 0) return undefined;
    let nth = dice.roll(count);
    for (const entry of this.files) {
      if (kinds.includes(entry.file.kind) && nth-- === 0) return entry;
    }
    return undefined;
  }

  /** The kinds of file that are open, as bits. */
  kinds(): number {
    let bits = 0;
    for (const { file } of this.files) bits |= kindBit(file.kind);
    return bits;
  }

  /** An id of one of these kinds, of this owner where there is one. */
  id(dice: Dice, kinds: readonly string[], owner: object | null): string | undefined {
    const right = this.named.filter((entry) => kinds.includes(entry.kind) && entry.owner === owner);
    if (right.length > 0) return pick(dice, right).handle;
    const any = this.named.filter((entry) => kinds.includes(entry.kind));
    return any.length > 0 ? pick(dice, any).handle : undefined;
  }
}
