/**
 * States that firmware writes and reads, and drivers hand on without looking into them. The model makes such a state up, of the
 * length that the function tells; what firmware makes of one that no such device has written, nobody can tell.
 */
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { Unmodelled } from "../../kernel/operation.ts";
import type { IncomingStream } from "./data-file.ts";
import { rule as migrationRule } from "./migration.ts";

export const rule = clauses({
  "VARIANT-WHOLE-1": {
    rule: "a stream is no longer than the device's state can be",
    errno: "ENOMEM",
    machine: "variants",
    source: "drivers/vfio/pci/qat/main.c:qat_vf_resume_write",
  },
});

/** A state of so many bytes that devices of a kind write. */
export function imageOf(kind: string, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => kind.charCodeAt(at % kind.length) ^ (at & 0xff));
}

/** A stream that is one state and nothing else. */
export class WholeStream implements IncomingStream {
  readonly spoils = false;
  readonly expected: Uint8Array;
  readonly #most: number;
  came = new Uint8Array(0);

  constructor(expected: Uint8Array, most: number) {
    this.expected = expected;
    this.#most = most;
  }

  admit(position: number, count: number): void {
    must(position + count <= this.#most, rule["VARIANT-WHOLE-1"]);
  }

  take(k: Kernel, piece: Uint8Array): void {
    const bytes = new Uint8Array(this.came.length + piece.length);
    bytes.set(this.came);
    bytes.set(piece, this.came.length);
    this.check(k, bytes);
    this.came = bytes;
  }

  /** Refuses what can be told to be another device's, or to be none. */
  check(_k: Kernel, _bytes: Uint8Array): void {}

  load(_k: Kernel): void {
    must(this.came.length >= this.expected.length, migrationRule["VARIANT-MIG-LOAD-1"]);
    if (Buffer.compare(this.came, this.expected) !== 0) {
      throw new Unmodelled("what firmware makes of a state that no such device has saved");
    }
  }

  trace(): number {
    let hash = this.came.length;
    for (const byte of this.came) hash = Math.imul(hash ^ byte, 0x01000193);
    return hash;
  }
}
