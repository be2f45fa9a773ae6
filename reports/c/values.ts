/** Values of a program as C expressions: handles as the variables that hold them, numbers by name where they have one. */

import { named, namesOfArgument, namesOfField } from "../../model/format/names.ts";
import { handleKind } from "../../model/handles.ts";
import { MEMORY } from "../../model/kernel/memory-map.ts";
import type { Value } from "../../model/program.ts";
import type { Field, Layout, Trailing } from "../../model/uapi/layout.ts";
import { cNumber, type Names } from "./syntax.ts";

export class Values {
  readonly #names: Names;
  /** What handles hold in the run that the expectations are of. */
  readonly #held = new Map<string, bigint>();

  constructor(names: Names) {
    this.#names = names;
  }

  /** Notes what a handle holds in the expected run. */
  hold(handle: string, value: bigint): void {
    this.#held.set(handle, value);
  }

  /** What a value is worth in the expected run. */
  worth(value: Value): bigint {
    return typeof value === "string" ? (this.#held.get(value) ?? -1n) : BigInt(value);
  }

  /** An argument of a system call. */
  plain(value: Value, request?: string): string {
    if (typeof value === "string") return this.#names.of(value);
    const names = request === undefined ? undefined : namesOfArgument(request);
    const name = names && named(Number(value), names);
    return name ?? `${cNumber(value, 8, true)}L`;
  }

  /** What a field is set to. */
  ofField(value: Value, { name, width, signed, meaning }: Field, layout: Layout): string {
    if (typeof value === "string") return this.#names.of(value);
    if (meaning.kind === "flags" && value !== 0) {
      return (named(Number(value), { kind: "bits", names: meaning.bits }) ?? "0").replaceAll("|", " | ");
    }
    const names = namesOfField(layout.name, name);
    if (names?.kind === "values") return named(Number(value), names) ?? cNumber(value, width, signed);
    return meaning.kind === "user-address" ? userAddress(BigInt(value)) : cNumber(value, width, signed);
  }

  ofElement(value: Value, { width, signed }: Trailing): string {
    return typeof value === "string" ? this.#names.of(value) : cNumber(value, width, signed);
  }

  /** What a field is expected to hold: the handle that has this number, where the field is of its kind. */
  expected(value: bigint, { width, signed, meaning }: Field): string {
    const kinds = meaning.kind === "fd" || meaning.kind === "id" ? meaning.of : [];
    const own = meaning.kind === "out" && meaning.handle ? [meaning.handle, ...kinds] : kinds;
    for (const [handle, held] of [...this.#held].reverse()) {
      if (held === value && own.includes(handleKind(handle))) return this.#names.of(handle);
    }
    return cNumber(value, width, signed);
  }
}

function userAddress(value: bigint): string {
  const from = (name: string, start: bigint, size: number): string | undefined => {
    if (value < start || value > start + BigInt(size)) return undefined;
    return value === start ? name : `${name} + ${cNumber(value - start, 4, false)}`;
  };
  return (
    from("MEMORY", MEMORY.user, MEMORY.userSize) ??
    from("MEMORY_READONLY", MEMORY.userReadonly, MEMORY.userReadonlySize) ??
    cNumber(value, 8, false)
  );
}
