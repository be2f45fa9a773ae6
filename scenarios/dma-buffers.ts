/** Buffers of functions' memory: what they are made of, who has them for how long, and what takes them back. */
import { SEEK } from "../model/dma-buf.ts";
import { PAGE } from "../model/kernel/memory-map.ts";
import type { Call } from "../model/program.ts";
import { POLL } from "../model/uapi/poll.ts";
import { U64_MAX } from "../model/uapi/u64.ts";
import { FEATURE, FEATURE_INDEX } from "../model/vfio/feature.ts";
import { command, MEMORY_OFF, MEMORY_ON } from "./bar-calls.ts";
import { askBuffer, BUFFERS, barBuffer, mapBuffer, notLent, openLender, WHOLE_PAGE } from "./buffer-calls.ts";
import {
  allocIoas,
  attach,
  bind,
  bindDriver,
  close,
  detach,
  hotReset,
  ioctl,
  openCdev,
  openEventfd,
  poll,
  read,
  resetDevice,
  throughContainer,
  unbindDriver,
  unmap,
  write,
} from "./calls.ts";
import { E1000E, NVME, writeConfig } from "./config-calls.ts";
import { test } from "./mocks.ts";
import { asleep, mayFallAsleep, mayFallAsleepUntil, mustBeAwake } from "./power-calls.ts";
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
const [D0, D3_HOT] = [0, 3];
const FLR = 0x80;

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
    id: "bar-buffer-disabled",
    title:
      "a buffer is taken back while the command register has memory not answer, and what was mapped of it can be unmapped",
    needs: BUFFERS,
    steps: [
      ...openLender("edu0"),
      attach("@device", "@ioas"),
      barBuffer(),
      mapBuffer(0),
      command(MEMORY_OFF),
      notLent(),
      barBuffer([WHOLE_PAGE], {}, "@dma-buf1"),
      notLent("@dma-buf1"),
      barBuffer([WHOLE_PAGE, WHOLE_PAGE], {}, "@dma-buf2"),
      notLent("@dma-buf2"),
      command(MEMORY_ON),
      mapBuffer(1),
      mapBuffer(2, "@dma-buf1"),
      unmap("@iommufd", "@ioas", 0, PAGE),
      command(MEMORY_OFF),
      detach("@device"),
      attach("@device", "@ioas"),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
    ],
  }),
  scenario({
    id: "bar-buffer-powered-down",
    title: "a function in D3hot lends nothing, and lends again in D0, or after a reset",
    needs: BUFFERS,
    steps: [
      ...openLender("rooted0"),
      barBuffer(),
      mapBuffer(0),
      writeConfig(NVME.POWER, [D3_HOT]),
      notLent(),
      writeConfig(NVME.POWER, [D3_HOT]),
      notLent(),
      writeConfig(NVME.POWER, [D0]),
      mapBuffer(1),
      writeConfig(NVME.POWER, [D3_HOT]),
      resetDevice("@device"),
      mapBuffer(2),
      command(MEMORY_OFF),
      resetDevice("@device"),
      notLent(),
    ],
  }),
  scenario({
    id: "bar-buffer-reset",
    title: "a reset takes buffers back and lends them again, whoever asks for it in which way",
    needs: BUFFERS,
    steps: [
      ...openLender("nic0.0"),
      attach("@device", "@ioas"),
      barBuffer(),
      mapBuffer(0),
      resetDevice("@device"),
      mapBuffer(1),
      writeConfig(E1000E.EXPRESS + 9, [FLR]),
      mapBuffer(2),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
    ],
  }),
  scenario({
    id: "bar-buffer-hot-reset",
    title:
      "a hot reset takes the buffers of all functions back that it hits, and lends those again whose memory answers",
    needs: BUFFERS,
    steps: [
      ...openLender("bridged0"),
      barBuffer(),
      openCdev("bridged1", "@device1"),
      bind("@device1", "@iommufd", "@devid1"),
      mapBuffer(0),
      hotReset("@device1"),
      mapBuffer(1),
      command(MEMORY_OFF),
      hotReset("@device1"),
      notLent(),
    ],
  }),
  scenario({
    id: "bar-buffer-asleep",
    title: "a function that may sleep lends nothing until that is forbidden",
    needs: BUFFERS,
    steps: [
      ...openLender("edu0"),
      barBuffer(),
      mapBuffer(0),
      mayFallAsleep(),
      notLent(),
      mustBeAwake(),
      mapBuffer(1),
      mustBeAwake(),
      mapBuffer(2),
      command(MEMORY_OFF),
      mayFallAsleep(),
      mustBeAwake(),
      notLent(),
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
  scenario({
    id: "buffer-lent-asleep",
    breaks: "buffer-lent-asleep",
    title: "a function that may sleep lends nothing, whatever is done with it or asked of it meanwhile",
    needs: BUFFERS,
    steps: [
      ...openLender("edu0"),
      barBuffer(),
      mayFallAsleep(),
      command(MEMORY_ON),
      notLent(),
      barBuffer([WHOLE_PAGE], {}, "@dma-buf1"),
      notLent("@dma-buf1"),
      refused("EINVAL", mayFallAsleep()),
      notLent("@dma-buf1"),
      mustBeAwake(),
      mapBuffer(0, "@dma-buf1"),
    ],
  }),
  scenario({
    id: "buffer-kept-after-wakeup",
    breaks: "buffer-kept-after-wakeup",
    title: "a function that woke up, which ends low power, lends what it lent before",
    needs: { ...BUFFERS, kconfig: [...BUFFERS.kconfig, "PM"] },
    steps: [
      ...openLender("edu0"),
      openEventfd(),
      barBuffer(),
      mayFallAsleepUntil("@eventfd"),
      asleep("edu0"),
      ioctl("@device", "VFIO_DEVICE_GET_INFO", { argsz: 16 }),
      gives(8, read("@eventfd", { count: 8 })),
      mapBuffer(0),
      mustBeAwake(),
      mapBuffer(1),
    ],
  }),
];
