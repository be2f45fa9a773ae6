/** What devices have written to, as the page table that they are attached to remembers it: a bit in every entry. */
export class DirtyLog {
  /** Whether user space wants it told. */
  tracking = false;
  /** Addresses of the entries that are dirty. */
  readonly #entries = new Set<bigint>();

  /** The smallest page that an entry can be of. */
  readonly pageSize: bigint;

  constructor(pageSize: bigint) {
    this.pageSize = pageSize;
  }

  /** Marks the entry that translates the address. */
  mark(iova: bigint): void {
    this.#entries.add(iova & -this.pageSize);
  }

  /** Addresses of the dirty entries in [start, last], ascending. */
  within(start: bigint, last: bigint): bigint[] {
    return [...this.#entries].filter((entry) => entry >= start && entry <= last).sort((a, b) => (a < b ? -1 : 1));
  }

  /** Makes what is in [start, last] clean. */
  clean(start: bigint, last: bigint): void {
    for (const entry of this.#entries) if (entry >= start && entry <= last) this.#entries.delete(entry);
  }

  /** A number that tells this state from others. */
  trace(): number {
    let trace = this.tracking ? 1 : 2;
    for (const entry of this.#entries) trace = (trace * 31 + Number(entry >> 11n)) >>> 0;
    return trace;
  }
}
