/**
 * What memory holds. It begins as zeros, and the model knows of everything that writes there; structs of calls lie elsewhere.
 */
import { MEMORY, PAGE } from "./memory-map.ts";
import { Unmodelled } from "./operation.ts";

/** What the pages of some memory hold, by addresses or offsets in it. */
export class PageContent {
  /** Pages that were written, by their numbers; null where it is not known what they hold. */
  readonly #pages = new Map<number, Uint8Array | null>();
  /** How often something was written. */
  writes = 0;

  /** Has this hold what other memory holds. */
  copyFrom(other: PageContent): void {
    for (const [page, held] of other.#pages) this.#pages.set(page, held ? held.slice() : null);
  }

  /** Whether an address is in the memory that this is about. */
  has(_address: bigint): boolean {
    return true;
  }

  /** The bytes from an address on, which must be there. */
  read(address: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#each(address, length, (page, offset, at, count) => {
      const held = this.#pages.get(page);
      if (held === null) throw new Unmodelled("memory that was written in part");
      if (held) bytes.set(held.subarray(offset, offset + count), at);
    });
    return bytes;
  }

  /** How many bytes there are from an address on, of so many, before a page of which it is not known what it holds. */
  known(address: bigint, length: number): number {
    let page = Number(address / BigInt(PAGE));
    for (let at = -Number(address % BigInt(PAGE)); at < length; at += PAGE) {
      if (this.#pages.get(page++) === null) return Math.max(at, 0);
    }
    return length;
  }

  /** Writes bytes from an address on. */
  write(address: bigint, bytes: Uint8Array): void {
    this.writes++;
    this.#each(address, bytes.length, (page, offset, at, count) => {
      let held = this.#pages.get(page);
      if (held === null) return;
      if (!held) {
        held = new Uint8Array(PAGE);
        this.#pages.set(page, held);
      }
      held.set(bytes.subarray(at, at + count), offset);
    });
  }

  /** Notes that something was written from an address on, and nobody knows how much of it. */
  forget(address: bigint, length: number): void {
    this.writes++;
    this.#each(address, length, (page) => {
      this.#pages.set(page, null);
    });
  }

  #each(address: bigint, length: number, use: (page: number, offset: number, at: number, count: number) => void): void {
    if (!this.has(address)) throw new Unmodelled("what memory holds that is not the program's own");
    let page = Number(address / BigInt(PAGE));
    let offset = Number(address % BigInt(PAGE));
    for (let at = 0; at < length; page++) {
      const count = Math.min(PAGE - offset, length - at);
      use(page, offset, at, count);
      at += count;
      offset = 0;
    }
  }
}

/** What the program's own memory holds. */
export class MemoryContent extends PageContent {
  override has(address: bigint): boolean {
    return (
      (address >= MEMORY.user && address < MEMORY.user + BigInt(MEMORY.userSize)) ||
      (address >= MEMORY.userReadonly && address < MEMORY.userReadonly + BigInt(MEMORY.userReadonlySize))
    );
  }
}
