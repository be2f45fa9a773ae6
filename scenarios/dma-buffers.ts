/** Buffers of functions' memory: what they are made of, and who has them for how long. */
import { SEEK } from "../model/dma-buf.ts";
import { PAGE } from "../model/kernel/memory-map.ts";
import type { Call } from "../model/program.ts";
import { POLL } from "../model/uapi/poll.ts";
import { U64_MAX } from "../model/uapi/u64.ts";
import { FEATURE, FEATURE_INDEX } from "../model/vfio/feature.ts";
import { command, MEMORY_OFF } from "./bar-calls.ts";
import { askBuffer, BUFFERS, barBuffer, mapBuffer, notLent, openLender, WHOLE_PAGE } from "./buffer-calls.ts";
import {
  allocIoas,
  attach,
  bind,
  bindDriver,
  close,
  detach,
  ioctl,
  openCdev,
  poll,
  read,
  throughContainer,
  unbindDriver,
  unmap,
  write,
} from "./calls.ts";
import { test } from "./mocks.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const BY_GROUP = { since: "6.19", kconfig: ["VFIO_GROUP", "VFIO_CONTAINER", "VFIO_PCI_DMABUF"] } as const;
const { PROBE, GET } = FEATURE;
const { DMA_BUF } = FEATURE_INDEX;
const HALF = 1n << 63n;
const LAST_PAGE = U64_MAX - 0xfffn;
const MANY = 1 << 20;
/** Bytes of nic0.0's first BAR, and what else it has: I/O ports, and no fifth. */
const NIC_BAR = 0x2_0000;
const [PORTS, NONE, ROM] = [2, 4, 6];

const sync = (flags: number): Call => ioctl("@dma-buf", "DMA_BUF_IOCTL_SYNC", { flags });
const seek = (whence: number, offset = 0): Call => ({ op: "lseek", fd: "@dma-buf", offset, whence });
const name = (name_0: bigint, last = 0n): Call =>
  ioctl("@dma-buf", "DMA_BUF_SET_NAME_B", { name_0, name_1: last, name_2: last, name_3: last });
const LETTERS = 0x6161_6161_6161_6161n;
const copy = (dst_iova: number, length = PAGE): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_COPY", {
    size: 40,
    flags: 7,
    dst_ioas_id: "@ioas1",
    src_ioas_id: "@ioas",
    length,
    dst_iova,
    src_iova: PAGE,
  });

export const DMA_BUFFERS: readonly Scenario[] = [
  scenario({
    id: "bar-buffer-refusals",
    title: "a buffer is made of whole pages of a BAR's memory, in ranges that argsz covers and that end within it",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("nic0.0"),
      askBuffer([], { flags: PROBE | GET | DMA_BUF, argsz: 8 }),
      refused("EINVAL", askBuffer([], { argsz: 23 })),
      refused("EFAULT", askBuffer([WHOLE_PAGE], {}, { place: 20 })),
      refused("EINVAL", askBuffer([])),
      refused("EINVAL", askBuffer([WHOLE_PAGE], { dma_buf_flags: 1 })),
      refused("ENODEV", askBuffer([[1, 0]], { region_index: NONE })),
      refused("ENODEV", askBuffer([WHOLE_PAGE], { region_index: ROM })),
      refused("ENODEV", askBuffer([WHOLE_PAGE], { region_index: U64_MAX & 0xffff_ffffn })),
      refused("ENOMEM", askBuffer([WHOLE_PAGE], { argsz: 0xffff_ffff, nr_ranges: MANY })),
      refused("EFAULT", askBuffer([WHOLE_PAGE, WHOLE_PAGE], {}, { place: 40 })),
      refused("EINVAL", askBuffer([[0, 0]])),
      refused("EINVAL", askBuffer([[1, PAGE]])),
      refused("EINVAL", askBuffer([[0, PAGE + 1]])),
      refused("EINVAL", askBuffer([[0, HALF]])),
      refused(
        "EINVAL",
        askBuffer([
          [LAST_PAGE, HALF - 0x1000n],
          [0, PAGE],
        ]),
      ),
      refused(
        "EINVAL",
        askBuffer([
          [0, HALF],
          [0, HALF],
        ]),
      ),
      refused("EINVAL", askBuffer([WHOLE_PAGE], { region_index: PORTS })),
      refused("EOVERFLOW", askBuffer([[LAST_PAGE, PAGE]])),
      refused("EOVERFLOW", askBuffer([[HALF, HALF - 0x1000n]])),
      refused("EINVAL", askBuffer([[0, NIC_BAR + PAGE]])),
      refused("EINVAL", askBuffer([[NIC_BAR, PAGE]])),
      refused("EINVAL", askBuffer([WHOLE_PAGE, [NIC_BAR, PAGE], [LAST_PAGE, PAGE]])),
      barBuffer([[NIC_BAR - PAGE, PAGE]]),
    ],
  }),
  scenario({
    id: "bar-buffer-file",
    title: "a buffer's descriptor can be waited for and named, and is neither read nor mapped",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("edu0"),
      barBuffer(),
      refused("EINVAL", read("@dma-buf", { count: 8 })),
      refused("EINVAL", write("@dma-buf", [1])),
      refused("EINVAL", { op: "mmap", fd: "@dma-buf", length: PAGE, prot: 3, offset: 0 }),
      gives(POLL.POLLIN | POLL.POLLOUT, poll("@dma-buf")),
      gives(PAGE, seek(SEEK.END)),
      gives(0, seek(SEEK.SET)),
      refused("EINVAL", seek(SEEK.CUR)),
      refused("EINVAL", seek(9)),
      refused("EINVAL", seek(SEEK.END, -1)),
      sync(3),
      sync(1 | 4),
      refused("EINVAL", sync(0)),
      refused("EINVAL", sync(4)),
      refused("EINVAL", sync(8 | 1)),
      refused("EFAULT", ioctl("@dma-buf", "DMA_BUF_IOCTL_SYNC", { flags: 1 }, { place: 4 })),
      name(0x6261n),
      name(0n),
      name(LETTERS, 0x61_6161_6161_6161n),
      refused("EINVAL", name(LETTERS, LETTERS)),
      refused("EFAULT", ioctl("@dma-buf", "DMA_BUF_SET_NAME_B", { name_0: LETTERS }, { place: 8 })),
      refused("EFAULT", ioctl("@dma-buf", "DMA_BUF_SET_NAME_B", {}, { place: "unmapped" })),
      barBuffer([WHOLE_PAGE], { open_flags: 0 }, "@dma-buf1"),
      refused("EBADF", write("@dma-buf1", [1])),
      refused("EACCES", { op: "mmap", fd: "@dma-buf1", length: PAGE, prot: 3, offset: 0 }),
      barBuffer([WHOLE_PAGE], { open_flags: 0xffff_ffff }, "@dma-buf2"),
      refused("EBADF", read("@dma-buf2", { count: 8 })),
      command(MEMORY_OFF),
      sync(3),
      gives(PAGE, seek(SEEK.END)),
    ],
  }),
  scenario({
    id: "bar-buffer-mapped",
    title:
      "a buffer is mapped by its pages, for functions that are attached before and after, as long as it is in one piece",
    needs: BUFFERS,
    steps: [
      ...openLender("edu0"),
      barBuffer([[4 * PAGE, 8 * PAGE]]),
      mapBuffer(1, "@dma-buf", { length: 8 * PAGE }),
      attach("@device", "@ioas"),
      mapBuffer(16, "@dma-buf", { start: 6 * PAGE, length: 2 * PAGE }),
      ioctl(
        "@iommufd",
        "IOMMU_IOAS_MAP_FILE",
        { size: 40, flags: 6, ioas_id: "@ioas", fd: "@dma-buf", length: PAGE },
        { binds: { iova: "@iova" } },
      ),
      refused("EINVAL", mapBuffer(32, "@dma-buf", { start: 8 * PAGE })),
      refused("EINVAL", mapBuffer(32, "@dma-buf", { start: PAGE, length: 8 * PAGE })),
      refused("EINVAL", mapBuffer(32, "@dma-buf", { start: 1 })),
      refused("EEXIST", mapBuffer(1)),
      allocIoas("@iommufd", "@ioas1"),
      copy(0, 8 * PAGE),
      attach("@device", "@ioas1"),
      copy(8 * PAGE),
      refused("ENOENT", unmap("@iommufd", "@ioas", PAGE, PAGE)),
      unmap("@iommufd", "@ioas", PAGE, 8 * PAGE),
      detach("@device"),
      barBuffer([WHOLE_PAGE, [2 * PAGE, PAGE]], {}, "@dma-buf1"),
      refused("EOPNOTSUPP", mapBuffer(32, "@dma-buf1")),
      barBuffer([WHOLE_PAGE, WHOLE_PAGE, WHOLE_PAGE], {}, "@dma-buf2"),
      refused("EINVAL", mapBuffer(32, "@dma-buf2", { length: 4 * PAGE })),
      refused("EOPNOTSUPP", mapBuffer(32, "@dma-buf2", { length: 3 * PAGE })),
      close("@dma-buf"),
      unmap("@iommufd", "@ioas1", 0, U64_MAX),
    ],
  }),
  scenario({
    id: "bar-buffer-outlives",
    title: "a buffer is gone for good when its function is closed, keeps nobody from it, and is no one's to take back",
    needs: BUFFERS,
    steps: [
      ...openLender("edu0"),
      barBuffer(),
      mapBuffer(0),
      close("@device"),
      notLent(),
      gives(POLL.POLLIN | POLL.POLLOUT, poll("@dma-buf")),
      openCdev("edu0"),
      bind("@device", "@iommufd"),
      notLent(),
      barBuffer([WHOLE_PAGE], {}, "@dma-buf1"),
      mapBuffer(1, "@dma-buf1"),
      close("@dma-buf"),
      close("@device"),
      unbindDriver("vfio-pci", "edu0"),
      notLent("@dma-buf1"),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
      close("@dma-buf1"),
      bindDriver("vfio-pci", "edu0"),
      openCdev("edu0"),
    ],
  }),
  scenario({
    id: "bar-buffer-of-test",
    title: "a function's buffer is not the test's to take back",
    needs: { ...BUFFERS, kconfig: [...BUFFERS.kconfig, "IOMMUFD_TEST"] },
    steps: [
      ...openLender("edu0"),
      barBuffer(),
      refused("EOPNOTSUPP", test("DMABUF_REVOKE", 0, { dmabuf_fd: "@dma-buf", revoked: 1 })),
      mapBuffer(0),
    ],
  }),
  scenario({
    id: "buffer-ranges-past-argsz",
    breaks: "buffer-ranges-past-argsz",
    title: "ranges that argsz does not cover are not looked at",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("edu0"),
      refused("EINVAL", askBuffer([WHOLE_PAGE], { argsz: 24 })),
      refused("EINVAL", askBuffer([WHOLE_PAGE, WHOLE_PAGE], { argsz: 40 })),
      refused("EINVAL", askBuffer([WHOLE_PAGE], { nr_ranges: MANY })),
    ],
  }),
];
