/** IOMMU_IOAS_MAP_FILE. Beside drivers/iommu/iommufd/ioas.c and io_pagetable.c. */
import { DmaBufFile } from "../dma-buf.ts";
import { clauses, must } from "../kernel/clause.ts";
import type { File } from "../kernel/file.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { MemfdFile } from "../memfd.ts";
import { field, fieldOf, layout } from "../uapi/layout.ts";
import { U64_MAX } from "../uapi/u64.ts";
import { Area, type Memory, type PageRange, type Pages } from "./area.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { steps as dmaBufs } from "./dma-bufs.ts";
import type { IommufdFile } from "./file.ts";
import { PAGE_SIZE } from "./io-pagetable.ts";
import { ANY_MAP_FLAG, FIXED_IOVA, MAP_FLAGS, READABLE, USUAL_MAP_FLAGS, WRITEABLE } from "./map.ts";
import type { IommufdContext } from "./objects.ts";

const SINCE = { ...IOMMUFD, since: "6.13" } as const;
const HEADER = "include/uapi/linux/iommufd.h:iommu_ioas_map_file";

export const rule = clauses({
  "IOMMUFD-MAPFILE-1": {
    ...SINCE,
    rule: "unknown flags are refused",
    errno: "EOPNOTSUPP",
    source: iommufdSource("ioas", "iommufd_ioas_map_file"),
  },
  "IOMMUFD-MAPFILE-2": {
    ...SINCE,
    rule: "neither iova nor length may be the largest number, even where iova is not used",
    errno: "EOVERFLOW",
    source: iommufdSource("ioas", "iommufd_ioas_map_file"),
  },
  "IOMMUFD-MAPFILE-3": {
    ...SINCE,
    rule: "a mapping must be readable or writable",
    errno: "EINVAL",
    source: iommufdSource("ioas", "iommufd_ioas_map_file"),
  },
  "IOMMUFD-MAPFILE-4": {
    ...SINCE,
    rule: "ioas_id must be the id of an IOAS",
    errno: "ENOENT",
    source: iommufdSource("ioas", "iommufd_ioas_map_file"),
  },
  "IOMMUFD-MAPFILE-5": {
    ...SINCE,
    rule: "a mapping must have a length, and one that leaves room for a page",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_map_file_pages"),
  },
  "IOMMUFD-MAPFILE-6": {
    ...SINCE,
    rule: "what is mapped of a file must end before the largest offset",
    errno: "EOVERFLOW",
    source: iommufdSource("io_pagetable", "iopt_map_file_pages"),
  },
  "IOMMUFD-MAPFILE-7": {
    ...SINCE,
    rule: "fd must be an open descriptor",
    errno: "EBADF",
    source: iommufdSource("io_pagetable", "iopt_map_file_pages"),
  },
  "IOMMUFD-MAPFILE-8": {
    ...SINCE,
    rule: "fd must be a memfd, or since 6.19 a dma-buf",
    errno: "EINVAL",
    source: HEADER,
  },
  "IOMMUFD-MAPFILE-9": {
    ...SINCE,
    rule: "the struct must be writable; where it is not, nothing is mapped",
    errno: "EFAULT",
    source: iommufdSource("ioas", "iommufd_ioas_map_file"),
  },
  "IOMMUFD-MAPFILE-10": {
    ...SINCE,
    rule: "all pages of a file that a device is to reach must be within the file",
    errno: "EINVAL",
    source: "mm/gup.c:memfd_pin_folios",
  },
  "IOMMUFD-MAPFILE-12": {
    ...SINCE,
    rule: "a file that is sealed against writing can't be mapped to be written to",
    errno: "EPERM",
    source: "include/uapi/linux/fcntl.h:F_SEAL_WRITE",
  },
  "IOMMUFD-MAPFILE-11": {
    ...SINCE,
    rule: "the memory of the file is mapped, and stays when its descriptors go",
    source: HEADER,
    observable: "later-call",
  },
});

const IoasMapFile = layout("iommu_ioas_map_file", {
  size: field.argsz(),
  flags: field.flags(MAP_FLAGS, ...USUAL_MAP_FLAGS),
  ioas_id: field.id("ioas"),
  fd: field.fd("memfd", "dma-buf"),
  start: field.value64(0, 0x1000, 0x4000, 1, U64_MAX),
  length: field.length(),
  iova: field.placedIova(),
});

const IOVA = fieldOf(IoasMapFile, "iova").offset;
const CHOSEN_IOVA: ChoiceSite = { at: "field", offset: IOVA, width: 8 };

export const ioasMapFile = ioctl<IommufdFile>({
  name: "IOMMU_IOAS_MAP_FILE",
  request: vfioRequest(0x8f),
  argument: { kind: "struct", layout: IoasMapFile },
  on: ["iommufd"],
  since: "6.13",
  useful: (_k, { context }) => context.some("ioas"),
  *run(k, { context }, { block }): Operation<number> {
    const flags = block.u32(4);
    must((flags & ~ANY_MAP_FLAG) === 0, rule["IOMMUFD-MAPFILE-1"]);
    const length = block.u64(24);
    const iova = block.u64(IOVA);
    must(iova !== U64_MAX && length !== U64_MAX, rule["IOMMUFD-MAPFILE-2"]);
    must((flags & (WRITEABLE | READABLE)) !== 0, rule["IOMMUFD-MAPFILE-3"]);
    using ioas = k.ioas.get(context, block.u32(8), rule["IOMMUFD-MAPFILE-4"]);
    const address = block.u64(16);
    must(length !== 0n, rule["IOMMUFD-MAPFILE-5"]);
    must(address + length - 1n <= U64_MAX, rule["IOMMUFD-MAPFILE-6"]);
    const file = k.fds.get(block.s32(12));
    must(file !== undefined, rule["IOMMUFD-MAPFILE-7"]);
    const writable = (flags & WRITEABLE) !== 0;
    const memory = { address, length, writable, file, owner: k.task };
    const area = file instanceof DmaBufFile ? yield* k.ioas.borrow(k, file, memory) : k.ioas.ofFile(k, context, memory);
    const fixed = (flags & FIXED_IOVA) !== 0 ? iova : null;
    yield* k.ioas.mapAreas(k, ioas, [area], { fixed, site: CHOSEN_IOVA }, () => {
      must(k.ioas.canAnswer(block, IoasMapFile.size), rule["IOMMUFD-MAPFILE-9"]);
    });
    block.put(IOVA, 8, area.start, rule["IOMMUFD-MAPFILE-9"]);
    k.keeps(rule["IOMMUFD-MAPFILE-11"]);
    return 0;
  },
});

/** Bytes of a file that are to be mapped. */
interface FileMemory extends Memory {
  readonly file: File;
}

export const steps = {
  ...dmaBufs,

  /** iopt_alloc_file_pages: a mapping, still to be placed, that holds the file. */
  ofFile(k: Kernel, context: IommufdContext, memory: FileMemory): Area {
    const { file, length, writable } = memory;
    must(length <= U64_MAX - PAGE_SIZE, rule["IOMMUFD-MAPFILE-5"]);
    must(k.ioas.isMappable(file), rule["IOMMUFD-MAPFILE-8"]);
    must(!writable || k.ioas.isWritable(file), rule["IOMMUFD-MAPFILE-12"]);
    file.refs++;
    return Area.of({ ...memory, counted: k.ioas.countedFor(k, context) });
  },

  /** Whether a file is memory that can be mapped. */
  isMappable(file: File): boolean {
    return file.kind === "memfd";
  },

  /** Whether devices may write to a file's memory. */
  isWritable(file: File): boolean {
    return !(file instanceof MemfdFile && file.sealed);
  },

  /** memfd_pin_folios: pages that are not there yet are made, but not behind the end. */
  reachFile(_k: Kernel, file: File, { address }: Pages, { lastPage }: PageRange): void {
    const end = address + BigInt(lastPage + 1) * PAGE_SIZE;
    must(file instanceof MemfdFile && end <= BigInt(file.size), rule["IOMMUFD-MAPFILE-10"]);
  },
};
