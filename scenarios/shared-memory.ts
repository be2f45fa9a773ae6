/** Memory in files, whichever way it is read and written, and buffers that drivers share and take back. */
import type { Around } from "../model/ioctl-calls.ts";
import { MOCK_START as START } from "../model/iommufd/selftest/mock-device.ts";
import { PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Fields, Place, Value } from "../model/program.ts";
import { POLL } from "../model/uapi/poll.ts";
import { U64_MAX } from "../model/uapi/u64.ts";
import {
  allocIoas,
  close,
  destroy,
  ioctl,
  openIommufd,
  pinned,
  poll,
  read,
  setCompatIoas,
  setIommu,
  unmap,
  write,
} from "./calls.ts";
import { changeProcess, MAP_FILE, mapFile, memfd } from "./ioas-files.ts";
import { mock, test } from "./mocks.ts";
import { allocHwpt, bitmap, DIRTY_TRACKING, track } from "./page-table-calls.ts";
import { gives, refused, type Scenario, type Step, scenario } from "./scenario.ts";

const ACCESSED = { ...MAP_FILE, kconfig: ["IOMMUFD", "IOMMUFD_TEST"] } as const;
const BUFFER = { since: "6.19", kconfig: ["IOMMUFD", "IOMMUFD_TEST"] } as const;

const access = (name: string, op: number, fields: Fields, around: Around = {}): Call =>
  ioctl("@iommufd", `IOMMU_TEST_OP_${name}`, { size: 72, op, id: "@access", ...fields }, around);
const createAccess = access("CREATE_ACCESS", 5, { id: "@ioas", flags: 1 }, { binds: { out_access_fd: "@access" } });
const WRITE = 1;
const SLOW = 4;
/** Two words to be written to an address, or room for them. */
const rw = (iova: number, flags: number, word_0 = 0, word_1 = 0): Call =>
  access("ACCESS_RW", 8, { iova, length: 16, flags, uptr: { fields: { word_0, word_1 } } });
const pin = (iova: number): Call => access("ACCESS_PAGES", 7, { iova, length: PAGE });

const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;
/** Makes a buffer of so many bytes. */
export const buffer = (length: number, open_flags = O_RDWR | O_CLOEXEC): Call =>
  test("DMABUF_GET", 0, { length, open_flags }, { as: "@dma-buf" });
/** Takes the buffer back, to lend it again from now on where `revoked` is 0. */
export const takeBack = (revoked: number, dmabuf_fd: Value = "@dma-buf"): Call =>
  test("DMABUF_REVOKE", 0, { dmabuf_fd, revoked });
const mapBuffer = (fields: Fields = {}): Call => mapFile({ fd: "@dma-buf", length: 4 * PAGE, iova: START, ...fields });

const withBuffer: readonly (Call | Step)[] = [openIommufd(), allocIoas("@iommufd"), buffer(4 * PAGE), mapBuffer()];
const dirty = (iova: number, bits: number): Call =>
  test("DIRTY", "@table", { iova, length: 4 * PAGE, page_size: PAGE / 2, uptr: { fields: { bits_0: bits } } });
const written = bitmap("@table", { iova: START, length: 4 * PAGE, page_size: PAGE / 2 });

/** A read or a write of a buffer that does not lie there wholly. */
const partly = (op: "read" | "write", count: number, place: Place): Call => ({ op, fd: "@memfd", count, place });

export const SHARED_MEMORY: readonly Scenario[] = [
  scenario({
    id: "memfd-content",
    title: "memory in a file holds what was written, over the edge of a page as well, and grows as it is written",
    steps: [
      { op: "memfd", size: PAGE + 1, as: "@memfd" },
      gives(32, read("@memfd", { count: 32 })),
      gives(8, write("@memfd", [1, 2, 3, 4, 5, 6, 7, 8])),
      gives(4, write("@memfd", [9, 8, 7, 6], PAGE - 2)),
      gives(6, read("@memfd", { count: 8, offset: PAGE - 4 })),
      gives(16, read("@memfd", { count: 16, offset: 28 })),
      gives(2, read("@memfd", { count: 16, offset: PAGE })),
      gives(0, read("@memfd", { count: 16, offset: 3 * PAGE })),
      gives(1, write("@memfd", [5], 2 * PAGE)),
      gives(16, read("@memfd", { count: 16, offset: PAGE })),
      gives(24, read("@memfd", { count: 24 })),
      gives(0, partly("read", 0, "unmapped")),
      gives(0, partly("write", 0, "unmapped")),
      refused("EFAULT", partly("read", 8, "unmapped")),
      refused("EFAULT", partly("read", 8, "readonly")),
      refused("EFAULT", partly("write", 8, "unmapped")),
      gives(8, partly("write", 8, "readonly")),
      gives(3, partly("read", 8, 3)),
      gives(5, partly("write", 8, 5)),
      gives(64, read("@memfd", { count: 64, offset: 60 })),
      refused("EINVAL", read("@memfd", { count: 1, offset: -1 })),
      gives(POLL.POLLIN | POLL.POLLOUT | POLL.POLLRDNORM | POLL.POLLWRNORM, poll("@memfd")),
      { op: "mmap", fd: "@memfd", length: 4 * PAGE, prot: 3, offset: PAGE },
      refused("EINVAL", { op: "mmap", fd: "@memfd", length: 0, prot: 3, offset: 0 }),
    ],
  }),
  scenario({
    id: "memfd-accessed",
    title: "what an access writes to a file is read from it, and the other way round, as far as the file goes",
    needs: ACCESSED,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      createAccess,
      memfd(2),
      mapFile({ length: 3 * PAGE }),
      mapFile({ iova: 8 * PAGE, start: PAGE, length: PAGE }),
      rw(PAGE - 8, WRITE, 0x1234_5678, 0x9abc_def0),
      gives(16, read("@memfd", { count: 16, offset: PAGE - 8 })),
      rw(8 * PAGE, 0),
      gives(4, write("@memfd", [1, 2, 3, 4], PAGE + 2)),
      rw(PAGE, SLOW),
      refused("EINVAL", rw(2 * PAGE, 0)),
      refused("EINVAL", rw(2 * PAGE, WRITE, 1)),
      refused("EINVAL", rw(2 * PAGE - 8, 0)),
      refused("EINVAL", pin(2 * PAGE)),
      gives(1, write("@memfd", [7], 3 * PAGE - 1)),
      rw(2 * PAGE - 8, WRITE, 3, 4),
      gives(16, read("@memfd", { count: 16, offset: 2 * PAGE - 8 })),
      pin(2 * PAGE),
      gives(PAGE / 1024, pinned),
      close("@memfd"),
      rw(PAGE, 0),
    ],
  }),
  scenario({
    id: "dma-buf-file",
    title: "a buffer has whole pages, and is neither read, written nor mapped by the CPU",
    needs: BUFFER,
    steps: [
      openIommufd(),
      refused("EINVAL", buffer(0)),
      refused("EINVAL", buffer((2 << 20) + 1)),
      refused("EINVAL", buffer(0xffff_ffff)),
      buffer(1, 0),
      refused("EINVAL", read("@dma-buf", { count: 8 })),
      refused("EBADF", write("@dma-buf", [1])),
      refused("EACCES", { op: "mmap", fd: "@dma-buf", length: PAGE, prot: 3, offset: 0 }),
      refused("EINVAL", { op: "mmap", fd: "@dma-buf", length: PAGE, prot: 1, offset: 0 }),
      refused("ESPIPE", read("@dma-buf", { count: 8, offset: 0 })),
      gives(POLL.POLLIN | POLL.POLLOUT, poll("@dma-buf")),
      buffer(2 << 20, 1),
      refused("EBADF", read("@dma-buf", { count: 8 })),
      refused("EINVAL", write("@dma-buf", [1])),
      buffer(PAGE, 3),
      refused("EBADF", read("@dma-buf", { count: 8 })),
      refused("EBADF", write("@dma-buf", [1])),
      refused("EACCES", { op: "mmap", fd: "@dma-buf", length: PAGE, prot: 1, offset: 0 }),
      refused("EBADF", takeBack(1, -1)),
      refused("EINVAL", takeBack(1, "@iommufd")),
      takeBack(1),
      takeBack(0),
    ],
  }),
  scenario({
    id: "dma-buf-mapped",
    title: "a buffer is mapped without being pinned, held by its mappings alone, and no access gets at it",
    needs: { ...BUFFER, mock: true },
    steps: [
      ...withBuffer,
      refused("EINVAL", mapBuffer({ iova: 2 * START, length: 4 * PAGE + 1 })),
      refused("EINVAL", mapBuffer({ iova: 2 * START, start: 4 * PAGE, length: 1 })),
      mock("@ioas"),
      gives(0, pinned),
      mapBuffer({ iova: 2 * START, start: PAGE, length: 2 * PAGE }),
      refused("EEXIST", mapBuffer({ iova: 2 * START })),
      gives(0, pinned),
      createAccess,
      refused("EINVAL", pin(START)),
      refused("EINVAL", rw(START, 0)),
      refused("EINVAL", rw(START, WRITE)),
      refused("EINVAL", changeProcess()),
      refused("EINVAL", test("MD_CHECK_MAP", "@hwpt", { iova: START, length: PAGE, uptr: 0x1200_0000_0000n })),
      allocIoas("@iommufd", "@ioas2"),
      ioctl("@iommufd", "IOMMU_IOAS_COPY", {
        size: 40,
        flags: 7,
        dst_ioas_id: "@ioas2",
        src_ioas_id: "@ioas",
        length: 2 * PAGE,
        dst_iova: START,
        src_iova: START + PAGE,
      }),
      mock("@ioas2", 2),
      close("@dma-buf"),
      unmap("@iommufd", "@ioas", START, 4 * PAGE),
      unmap("@iommufd", "@ioas2", 0, U64_MAX),
      destroy("@iommufd", "@stdev"),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
    ],
  }),
  scenario({
    id: "dma-buf-cut",
    title: "a mapping of a buffer can't be cut, as VFIO_TYPE1_IOMMU would have it",
    needs: BUFFER,
    steps: [
      ...withBuffer,
      setCompatIoas("@iommufd", "@ioas"),
      setIommu("@iommufd", 1),
      refused("EOPNOTSUPP", ioctl("@iommufd", "VFIO_IOMMU_UNMAP_DMA", { argsz: 24, iova: START, size: PAGE })),
      ioctl("@iommufd", "VFIO_IOMMU_UNMAP_DMA", { argsz: 24, iova: START, size: 4 * PAGE }),
    ],
  }),
  scenario({
    id: "dma-buf-taken-back",
    title:
      "page tables give a buffer up that is taken back, and what was written there with it; its mappings keep their place",
    needs: { ...BUFFER, mock: true },
    steps: [
      ...withBuffer,
      mock("@ioas"),
      allocHwpt("@devid", "@ioas", { flags: DIRTY_TRACKING }),
      track("@table", 1),
      dirty(START, 0b1001),
      takeBack(1),
      written,
      dirty(START, 0b1),
      written,
      refused("ENODEV", mapBuffer({ iova: 2 * START })),
      memfd(1),
      refused("EEXIST", mapFile({ iova: START })),
      mock("@ioas", 2),
      takeBack(0),
      written,
      mapBuffer({ iova: 2 * START }),
      dirty(2 * START, 0b10),
      bitmap("@table", { iova: 2 * START, length: 4 * PAGE, page_size: PAGE / 2, flags: 1 }),
      takeBack(0),
      bitmap("@table", { iova: 2 * START, length: 4 * PAGE, page_size: PAGE / 2 }),
      destroy("@iommufd", "@stdev2"),
      unmap("@iommufd", "@ioas", START, 4 * PAGE),
      mapBuffer(),
      close("@dma-buf"),
    ],
  }),
];
