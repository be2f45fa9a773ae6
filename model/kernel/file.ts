/**
 * Open files and the table of file descriptors (fs/file.c, fs/file_table.c), as far as this API needs them.
 *
 * What a file can do stands in a subclass beside the code of its owner: group files in vfio/group.ts, and so on.
 */

import type { AccessWidth } from "../program.ts";
import type { Argument, Ioctl } from "./ioctl.ts";
import type { Kernel } from "./kernel.ts";
import { type Operation, Unmodelled } from "./operation.ts";
import type { UserBlock } from "./user-memory.ts";

/** Kinds of files; also what programs and generators call a handle of that kind. */
export type FileKind =
  | "container"
  | "iommufd"
  | "group"
  | "device"
  | "kvm"
  | "vm"
  | "kvm-vfio"
  | "eventfd"
  | "memfd"
  | "dma-buf"
  | "access"
  | "migration"
  | "fault-queue"
  | "vevent-queue"
  | "wq"
  | "null";

/** Access mode of open(2). */
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;

/** FMODE_READ and FMODE_WRITE: the bits of OPEN_FMODE(), by which the access mode 3 can do neither. */
export const canRead = ({ mode }: File): boolean => ((mode + 1) & 1) !== 0;
export const canWrite = ({ mode }: File): boolean => ((mode + 1) & 2) !== 0;

/** A read or write in flight. */
export interface Transfer {
  /** The caller's buffer. */
  readonly block: UserBlock;
  /** Bytes asked for. */
  readonly count: number;
  /** Where pread and pwrite are to begin; null where the file's own position counts. */
  readonly offset: number | null;
}

export abstract class File {
  abstract readonly kind: FileKind;
  /** References: descriptors, and other objects that hold the file. */
  refs = 1;
  /** O_RDONLY, O_WRONLY, O_RDWR, or 3. */
  readonly mode: number;

  /** Whether pread and pwrite are possible: on nodes, and where a driver says so. */
  readonly positioned: boolean = true;

  constructor(mode: number) {
    this.mode = mode;
  }

  /** f_op->unlocked_ioctl: the return value, or a refusal. */
  abstract ioctl(k: Kernel, ioctl: Ioctl, arg: Argument): Operation<number>;

  /** f_op->release: the last reference is gone. */
  *release(_k: Kernel): Operation<void> {}

  /** f_op->read; files without it refuse in the VFS. */
  *read(k: Kernel, _io: Transfer): Operation<number> {
    return k.vfs.noMethod();
  }

  *write(k: Kernel, _io: Transfer): Operation<number> {
    return k.vfs.noMethod();
  }

  /** f_op->poll: the bits of revents; files without it are answered for by the VFS. */
  poll(k: Kernel): number {
    return k.vfs.noPoll(k);
  }

  /** f_op->llseek: where the file is to go on, or a refusal. */
  llseek(_k: Kernel, _offset: number, _whence: number): number {
    throw new Unmodelled("positions of files that are no buffers");
  }

  /**
   * f_op->mmap of so many bytes from an offset on, to be used as `prot` says; files without it refuse in the VFS. A shared one
   * (VM_SHARED) may be written through: the kernel takes none for it whose descriptor is not open for writing.
   */
  *mmap(k: Kernel, _length: number, _offset: number, _prot: number, _shared: boolean): Operation<number> {
    return k.vfs.noMmap();
  }

  /** A load from a mapping of the file, by offset in it; null where nobody knows what is there. Refuses by a signal. */
  *load(_k: Kernel, _offset: number, _width: AccessWidth): Operation<bigint | null> {
    throw new Unmodelled("memory that files other than functions map");
  }

  /** A store to one. */
  *store(_k: Kernel, _offset: number, _width: AccessWidth, _value: bigint): Operation<void> {
    throw new Unmodelled("memory that files other than functions map");
  }

  /** A mapping of the file ends, as all do with the process. */
  munmap(): void {}
}

/** The descriptors of the one task group. Numbers are given lowest first, as POSIX wants. */
export class FdTable {
  readonly #files: (File | undefined)[] = [];

  get(fd: number): File | undefined {
    return this.#files[fd];
  }

  /** The number that open(2) would give now. */
  lowestFree(): number {
    let fd = 0;
    while (this.#files[fd]) fd++;
    return fd;
  }

  install(fd: number, file: File): void {
    this.#files[fd] = file;
  }

  /** Takes the file out of the table; the caller drops the reference. */
  remove(fd: number): File | undefined {
    const file = this.#files[fd];
    this.#files[fd] = undefined;
    return file;
  }

  /** The files by descriptor, with holes; for those who look at all of them after every call. */
  get files(): readonly (File | undefined)[] {
    return this.#files;
  }

  /** Open descriptors, ascending. */
  *open(): Generator<[number, File]> {
    for (let fd = 0; fd < this.#files.length; fd++) {
      const file = this.#files[fd];
      if (file) yield [fd, file];
    }
  }
}
