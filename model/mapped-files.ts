/** What mmap(2) has mapped of files, each of which stays open as long as its mapping; and who loads from there and stores to it. */
import { refuse } from "./kernel/clause.ts";
import { canRead, canWrite, type File } from "./kernel/file.ts";
import type { Kernel } from "./kernel/kernel.ts";
import { PAGE } from "./kernel/memory-map.ts";
import type { Mm } from "./kernel/mm.ts";
import { runStraight, Unmodelled } from "./kernel/operation.ts";
import { rule as vfsRule } from "./kernel/vfs.ts";
import type { AccessWidth } from "./program.ts";

const PROT_WRITE = 2;

interface Mapping {
  /** The memory that it is in: a process that was made before has nothing there. */
  readonly mm: Mm;
  readonly address: number;
  /** In whole pages. */
  readonly length: number;
  readonly prot: number;
  readonly file: File;
  /** Where in the file it begins. */
  readonly offset: number;
}

/** What is to be mapped of a file. */
export interface MapRequest {
  readonly length: number;
  readonly prot: number;
  /** Where in the file it begins. */
  readonly from: number;
  readonly isPrivate: boolean;
}

const wholePages = (length: number): number => Math.ceil(length / PAGE) * PAGE;

export class MappedFiles {
  readonly #k: Kernel;
  readonly #mapped: Mapping[] = [];

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** Whether nothing is mapped. */
  get isEmpty(): boolean {
    return this.#mapped.length === 0;
  }

  /** mmap(2). Gives the address. */
  map(file: File, { length, prot, from, isPrivate }: MapRequest): number {
    if (length === 0) return refuse(vfsRule["VFS-FD-6"]);
    if (!canRead(file) || (!isPrivate && prot & PROT_WRITE && !canWrite(file))) return refuse(vfsRule["VFS-FD-5"]);
    // do_mmap: what nobody may write through is no shared mapping.
    const shared = !isPrivate && canWrite(file);
    const address = runStraight(file.mmap(this.#k, length, from, prot, shared));
    file.refs++;
    this.#mapped.push({ mm: this.#k.mm, address, length: wholePages(length), prot, file, offset: from });
    return address;
  }

  /** munmap(2) of a whole mapping. */
  unmap(address: number, length: number): void {
    const index = this.#mapped.findIndex((mapping) => mapping.address === address);
    const mapping = this.#mapped[index];
    if (!mapping || wholePages(length) !== mapping.length) {
      throw new Unmodelled("memory of which a part is unmapped, or that is not mapped");
    }
    this.#mapped.splice(index, 1);
    mapping.file.munmap();
    this.#k.putFile(mapping.file);
  }

  /** Ends every mapping, as the end of the process does. */
  unmapAll(): void {
    for (const { file } of this.#mapped.splice(0)) {
      file.munmap();
      this.#k.putFile(file);
    }
  }

  /** What a load from memory of the process's own, or from a mapping, brings; null where nobody knows. */
  load(address: bigint, width: AccessWidth): bigint | null {
    const { content } = this.#k.mm;
    if (content.has(address)) return this.#k.mm.load(address, width);
    const { file, offset } = this.#accessed(Number(address), width, 0);
    return runStraight(file.load(this.#k, offset, width));
  }

  store(address: bigint, width: AccessWidth, value: bigint): void {
    if (this.#k.mm.content.has(address)) {
      this.#k.mm.store(address, width, value);
      return;
    }
    const { file, offset } = this.#accessed(Number(address), width, PROT_WRITE);
    runStraight(file.store(this.#k, offset, width, value));
  }

  /** The file and the place in it that an access hits; on x86 what is mapped in any way can be read. */
  #accessed(address: number, width: number, needs: number): { readonly file: File; readonly offset: number } {
    const mapping = this.#mapped.find(
      (each) => each.address <= address && address + width <= each.address + each.length,
    );
    if (!mapping) throw new Unmodelled("memory that is not mapped");
    const { mm, prot, file } = mapping;
    if (mm !== this.#k.mm) return refuse(vfsRule["VFS-MMAP-2"]);
    if (prot === 0 || (prot & needs) !== needs) return refuse(vfsRule["VFS-MMAP-2"]);
    return { file, offset: mapping.offset + address - mapping.address };
  }
}
