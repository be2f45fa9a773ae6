/** Where the agent keeps what handles stand for. */
import type { Value } from "../../model/program.ts";
import type { SyscallArgument } from "../agent/assembler.ts";
import { SLOT_COUNT } from "../agent/layout.ts";
import { TooLarge } from "./shape.ts";

/** Slots that the harness keeps for itself; handles take the others. */
export const FD_SLOT = SLOT_COUNT - 1;
export const NUMBER_SLOT = SLOT_COUNT - 2;
const MAX_HANDLES = SLOT_COUNT - 2;

/** The slots of a program's handles. */
export class Slots {
  readonly #slots = new Map<string, number>();

  has(handle: string): boolean {
    return this.#slots.has(handle);
  }

  /** The slot of a handle, a new one where it has none. @throws TooLarge */
  of(handle: string): number {
    let slot = this.#slots.get(handle);
    if (slot === undefined) {
      slot = this.#slots.size;
      if (slot >= MAX_HANDLES) throw new TooLarge(`A program has at most ${MAX_HANDLES} handles; split it.`);
      this.#slots.set(handle, slot);
    }
    return slot;
  }

  /** A number as it is, or what a handle's slot holds. */
  value(value: Value): SyscallArgument {
    return typeof value === "string" ? { slot: this.of(value) } : value;
  }
}
