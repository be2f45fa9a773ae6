/** Reading and writing through an access, by the CPU. Beside drivers/iommu/iommufd/device.c and pages.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { File } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { MemfdFile } from "../memfd.ts";
import { U64_MAX } from "../uapi/u64.ts";
import type { Piece } from "./access-pin.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { PAGE_SIZE } from "./io-pagetable.ts";
import type { Access } from "./objects.ts";

const source = iommufdSource("device", "iommufd_access_rw");
const BY_TEST = { ...IOMMUFD, kconfig: ["IOMMUFD", "IOMMUFD_TEST"], source } as const;

export const rule = clauses({
  "IOMMUFD-RW-1": { ...BY_TEST, rule: "what is to be read or written must have a length", errno: "EINVAL" },
  "IOMMUFD-RW-2": {
    ...BY_TEST,
    rule: "what is to be read or written must not run over the end of the address space",
    errno: "EOVERFLOW",
  },
  "IOMMUFD-RW-3": {
    ...BY_TEST,
    rule: "every mapping must allow what is wanted, reading or writing; those below are written",
    errno: "EPERM",
    partial: true,
  },
  "IOMMUFD-RW-4": {
    ...BY_TEST,
    rule: "the memory behind the mappings must be there, and writable where it is written to; what lies below is written",
    errno: "EFAULT",
    source: iommufdSource("pages", "iopt_pages_rw_access"),
    partial: true,
  },
  "IOMMUFD-RW-5": {
    ...BY_TEST,
    rule: "the range must be mapped from its begin to its end; what lies below a gap is written",
    errno: "ENOENT",
    partial: true,
  },
  "IOMMUFD-RW-7": {
    ...BY_TEST,
    since: "6.19",
    machine: "mock",
    rule: "a dma-buf can't be read or written; what lies below it is written",
    errno: "EINVAL",
    source: iommufdSource("pages", "iopt_pages_rw_access"),
    partial: true,
  },
  "IOMMUFD-RW-9": {
    ...BY_TEST,
    rule: "memory whose process has ended can be read and written while it is pinned",
    errno: "EFAULT",
    partial: true,
    source: iommufdSource("pages", "iopt_pages_rw_slow"),
  },
  "IOMMUFD-RW-8": {
    ...BY_TEST,
    since: "6.13",
    rule: "pages of a file that are read or written must be within it; what lies below those that are not may be written",
    errno: "EINVAL",
    source: "mm/gup.c:memfd_pin_folios",
    partial: true,
  },
  "IOMMUFD-RW-6": {
    ...BY_TEST,
    rule: "what is written through an access is in the caller's memory, or the file, and what is there is read",
    source: iommufdSource("pages", "iopt_pages_rw_access"),
    observable: "output",
  },
});

/** What is moved: bytes to be written, or room for what is read. */
export interface AccessData {
  readonly bytes: Uint8Array;
  readonly write: boolean;
  /** __IOMMUFD_ACCESS_RW_SLOW_PATH: by way of the pages, as for a caller with other memory. */
  readonly slow: boolean;
}

export const steps = {
  /** iommufd_access_rw */
  *rwAccess(k: Kernel, access: Access, start: bigint, data: AccessData): Operation<void> {
    const length = BigInt(data.bytes.length);
    must(length !== 0n, rule["IOMMUFD-RW-1"]);
    const last = start + length - 1n;
    must(last <= U64_MAX, rule["IOMMUFD-RW-2"]);
    using _ = yield* k.lock(access.ioasLock);
    const { pagetable } = k.iommufdDevice.ioasOf(access);
    using _iova = yield* k.lock(pagetable.iovaRwsem);
    let next = start;
    for (const piece of k.iommufdDevice.pieces(pagetable, start, last)) {
      const { area, from, to } = piece;
      must(data.write ? area.writable : area.readable, rule["IOMMUFD-RW-3"]);
      const bytes = data.bytes.subarray(Number(from - start), Number(to - start) + 1);
      k.iommufdDevice.rwPiece(k, piece, { ...data, bytes });
      next = to + 1n;
    }
    must(next > last, rule["IOMMUFD-RW-5"]);
    k.keeps(rule["IOMMUFD-RW-6"]);
  },

  /** iopt_pages_rw_access: bytes of one mapping, straight to or from the caller's memory. */
  rwPiece(k: Kernel, piece: Piece, data: AccessData): void {
    const { area, from } = piece;
    const { pages } = area;
    must(!pages.buffer, rule["IOMMUFD-RW-7"]);
    const address = area.address + from - area.start;
    if (pages.file) {
      k.iommufdDevice.rwFile(pages.file, address, data);
      return;
    }
    const { bytes, write } = data;
    const { mm } = pages.owner;
    const slow = data.slow || mm !== k.mm;
    const offset = address & (PAGE_SIZE - 1n);
    const count = Number((offset + BigInt(bytes.length) + PAGE_SIZE - 1n) / PAGE_SIZE);
    if (mm.gone) {
      k.iommufdDevice.rwGone(piece, count, data);
      return;
    }
    const reach = mm.reach(address - offset, count);
    // Several pages are had as the mapping wants them, a single one as the caller does.
    const forWriting = write || (slow && count > 1 && pages.writable);
    const there = !forWriting || reach.writable ? reach.pages : 0;
    if (there < count) {
      if (write && there > 0) mm.content.forget(address, bytes.length);
      must(false, rule["IOMMUFD-RW-4"]);
    }
    if (write) mm.content.write(address, bytes);
    else bytes.set(mm.content.read(address, bytes.length));
  },

  /** iopt_pages_rw_slow where the process is gone whose memory it is: what is pinned is there. */
  rwGone({ area, from }: Piece, count: number, { bytes, write }: AccessData): void {
    const { pages } = area;
    const { content } = pages.owner.mm;
    const address = area.address + from - area.start;
    const firstPage = Number((address - pages.address) / PAGE_SIZE);
    const missing = pages.unpinnedIn({ firstPage, lastPage: firstPage + count - 1 });
    if (write && missing.length > 0 && missing[0]?.firstPage !== firstPage) content.forget(address, bytes.length);
    must(missing.length === 0, rule["IOMMUFD-RW-9"]);
    if (write) content.write(address, bytes);
    else bytes.set(content.read(address, bytes.length));
  },

  /** iopt_pages_rw_slow: bytes of a file, by way of its pages, which are had in batches. */
  rwFile(file: File, address: bigint, { bytes, write }: AccessData): void {
    const isWithin = (page: bigint): boolean => file instanceof MemfdFile && (page + 1n) * PAGE_SIZE <= file.size;
    const lastPage = (address + BigInt(bytes.length) - 1n) / PAGE_SIZE;
    if (write && file instanceof MemfdFile && isWithin(address / PAGE_SIZE) && !isWithin(lastPage)) {
      file.content.forget(address, bytes.length);
    }
    must(file instanceof MemfdFile && isWithin(lastPage), rule["IOMMUFD-RW-8"]);
    if (write) file.content.write(address, bytes);
    else bytes.set(file.content.read(address, bytes.length));
  },
};
