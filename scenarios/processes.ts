/** Several processes that work on the same files: whose memory is mapped, for whom it counts, and what is left once one has ended. */
import { MOCK_START as START } from "../model/iommufd/selftest/mock-device.ts";
import { PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Value } from "../model/program.ts";
import { DmaMap, MAP, UNMAP } from "../model/vfio/type1-layouts.ts";
import { command, MASTER_ON } from "./bar-calls.ts";
import {
  addFile,
  allocIoas,
  attach,
  close,
  createKvmVfio,
  createVm,
  getDeviceFd,
  ioctl,
  locked,
  openCdev,
  openContainer,
  openGroup,
  openIommufd,
  openKvm,
  pinned,
  setContainer,
  setIommu,
  throughNode,
} from "./calls.ts";
import { deviceReads, deviceWrites, look, mapDma, put, USER } from "./dma-calls.ts";
import { mock, test } from "./mocks.ts";
import { CDEV, LEGACY } from "./needs.ts";
import { gives, refused, type Scenario, type Step, scenario } from "./scenario.ts";
import {
  BUFFER,
  checkMap,
  IOAS_VARIANTS,
  inVariants,
  mapAt,
  mapping,
  unmap,
  upTo,
  type Variant,
  WITH_MOCK,
} from "./selftest-calls.ts";

const KIB = PAGE / 1024;
const [FIXED, READ_ONLY] = [1, 4];
const CHANGE_PROCESS = { since: "6.14", kconfig: ["IOMMUFD", "IOMMUFD_TEST"], mock: true } as const;

const fork: Call = { op: "fork", as: "@process" };
const exit: Call = { op: "exit", process: "@process" };
/** The same call, made by the process. */
const by = (call: Call): Call => ({ ...call, by: "@process" });

const RW = 8;
const createAccess = test("CREATE_ACCESS", "@ioas", { op: 5 }, { binds: { out_access_fd: "@access" } });
/** Has an access read words of a mapping. */
const readAt = (iova: number): Call =>
  test("ACCESS_RW", "@access", { op: RW, iova, length: 16, uptr: { fields: { word_0: 1, word_1: 1 } } });
const writeAt = (iova: number): Call =>
  test("ACCESS_RW", "@access", { op: RW, iova, length: 16, uptr: { fields: { word_0: 5, word_1: 6 } }, flags: 1 });

const FIRST = START + 8;
const ACROSS = START + PAGE - 8;

/** Maps memory of another process, which holds something else by then. */
const mappedByOther: readonly Call[] = [
  put(8, 0x11),
  createAccess,
  fork,
  by(put(8, 0x22)),
  by(put(PAGE - 8, 0x33)),
  by(mapAt(START, BUFFER)),
];

const mapFile = ioctl("@iommufd", "IOMMU_IOAS_MAP_FILE", {
  size: 40,
  flags: 7,
  ioas_id: "@ioas",
  fd: "@memfd",
  length: 2 * PAGE,
  iova: START,
});
const changeProcess = ioctl("@iommufd", "IOMMU_IOAS_CHANGE_PROCESS", { size: 8 });
const rlimitMode = ioctl("@iommufd", "IOMMU_OPTION", { size: 24, option_id: 0, op: 0, val64: 1 });
const lockOnePage: Call = { op: "prlimit", resource: "RLIMIT_MEMLOCK", soft: PAGE, hard: PAGE };
const withoutLock: Call = { op: "capset", without: ["CAP_IPC_LOCK"] };
/** A file that is mapped for a mock, before there is another process. */
const fileMapped = (before: readonly Call[], then: readonly Call[] = []): readonly Call[] => [
  openIommufd(),
  ...before,
  allocIoas("@iommufd"),
  mock("@ioas"),
  { op: "memfd", size: 2 * PAGE, as: "@memfd" },
  mapFile,
  ...then,
  fork,
];
/** Counts in KiB, of the program and of the process. */
const counts = (probe: Call, own: number, other: number): Step[] => [gives(own, probe), gives(other, by(probe))];

const newAddress = (vaddr: bigint, iova: number, size: number, fd: Value = "@container"): Call =>
  ioctl(fd, "VFIO_IOMMU_MAP_DMA", { argsz: DmaMap.size, flags: MAP.VADDR, vaddr, iova, size });
const takeAddress = (iova: number, size: number): Call =>
  ioctl("@container", "VFIO_IOMMU_UNMAP_DMA", { argsz: 24, flags: UNMAP.VADDR, iova, size });

const [A, B] = [16 * PAGE, 32 * PAGE];

export const PROCESSES: readonly Scenario[] = [
  ...inVariants(
    "fork-gone",
    "memory of a process that has ended is there for whoever has it pinned, and for nobody else",
    IOAS_VARIANTS,
    ({ mocks }: Variant) => [
      ...mappedByOther,
      exit,
      ...(mocks > 0
        ? [mock("@ioas", 9), readAt(FIRST), readAt(ACROSS), writeAt(FIRST), readAt(FIRST)]
        : [refused("EFAULT", mock("@ioas", 9)), refused("EFAULT", readAt(FIRST)), refused("EFAULT", readAt(ACROSS))]),
    ],
  ),
  ...inVariants(
    "fork-present",
    "memory of another process is pinned, read and written where it is",
    IOAS_VARIANTS,
    () => [
      ...mappedByOther,
      mock("@ioas", 9),
      readAt(FIRST),
      readAt(ACROSS),
      writeAt(FIRST),
      by(look(8)),
      look(8),
      gives(0, pinned),
      gives((BUFFER / PAGE) * KIB, by(pinned)),
      by(test("ACCESS_RW", "@access", { op: RW, iova: FIRST, length: 16, uptr: { fields: {} } })),
      exit,
      readAt(FIRST),
    ],
  ),
  scenario({
    id: "change-process-user",
    title: "what is mapped of files is taken over by another process of the same user, with what it has pinned",
    needs: CHANGE_PROCESS,
    steps: [
      ...fileMapped([withoutLock]),
      ...counts(pinned, 2 * KIB, 0),
      by(changeProcess),
      ...counts(pinned, 0, 2 * KIB),
      ...counts(locked, 0, 0),
      by(unmap(START, 2 * PAGE)),
      ...counts(pinned, 0, 0),
    ],
  }),
  scenario({
    id: "change-process-mode",
    title: "what counts for the process that mapped it is taken over by another process, and given back by it",
    needs: CHANGE_PROCESS,
    steps: [
      ...fileMapped([withoutLock, rlimitMode]),
      ...counts(locked, 2 * KIB, 0),
      by(changeProcess),
      ...counts(pinned, 0, 2 * KIB),
      ...counts(locked, 0, 2 * KIB),
      changeProcess,
      ...counts(locked, 2 * KIB, 0),
      by(changeProcess),
      unmap(START, 2 * PAGE),
      ...counts(locked, 0, 0),
      ...counts(pinned, 0, 0),
    ],
  }),
  scenario({
    id: "change-process-uncounted",
    breaks: "change-process-uncounted",
    title: "what nobody's limit is for is taken over as well: what is pinned is the other process's from then on",
    needs: CHANGE_PROCESS,
    steps: [
      ...fileMapped([]),
      by(changeProcess),
      ...counts(pinned, 0, 2 * KIB),
      by(unmap(START, 2 * PAGE)),
      ...counts(pinned, 0, 0),
    ],
  }),
  scenario({
    id: "selftest-ro-unshare",
    title:
      "memory that is mapped to be read stays where it is pinned when it is written, though it was another's or nobody's before",
    needs: WITH_MOCK,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      put(0, 1),
      fork,
      mock("@ioas", 1),
      mapping({ flags: READ_ONLY | FIXED, iova: START, length: 2 * PAGE }),
      ...upTo(2).map((page) => checkMap("@hwpt1", START + page * PAGE, PAGE, page * PAGE)),
      put(0, 2),
      put(PAGE, 3),
      ...upTo(2).map((page) => checkMap("@hwpt1", START + page * PAGE, PAGE, page * PAGE)),
      by(put(0, 4)),
      checkMap("@hwpt1", START, PAGE, 0),
      refused("EINVAL", by(checkMap("@hwpt1", START, PAGE, 0))),
      exit,
      checkMap("@hwpt1", START, PAGE, 0),
    ],
  }),
  ...[[], [rlimitMode]].map((mode) =>
    scenario({
      id: `change-process-limit${mode.length > 0 ? "-mode" : ""}`,
      title: `what a process may not lock it does not take over, and nothing changes${mode.length > 0 ? ", where it counts for the process" : ""}`,
      needs: CHANGE_PROCESS,
      steps: [
        ...fileMapped([withoutLock, ...mode], [lockOnePage]),
        refused("ENOMEM", by(changeProcess)),
        ...counts(pinned, 2 * KIB, 0),
        unmap(START, 2 * PAGE),
        ...counts(pinned, 0, 0),
        ...counts(locked, 0, 0),
      ],
    }),
  ),
  scenario({
    id: "change-process-of-function",
    title: "what a function reaches of files is taken over by a process that may lock so much, and by no other",
    needs: { ...CDEV, since: "6.14" },
    steps: [
      withoutLock,
      ...throughNode("edu0"),
      allocIoas("@iommufd"),
      attach("@device", "@ioas"),
      { op: "memfd", size: 2 * PAGE, as: "@memfd" },
      mapFile,
      fork,
      lockOnePage,
      { op: "fork", as: "@process1" },
      refused("ENOMEM", { ...changeProcess, by: "@process1" }),
      by(changeProcess),
      ...counts(pinned, 0, 2 * KIB),
    ],
  }),
  scenario({
    id: "change-process-of-gone",
    breaks: "change-process-of-gone",
    title: "what a process has mapped of files is taken over once that has ended, with what it has pinned",
    needs: CHANGE_PROCESS,
    steps: [
      withoutLock,
      openIommufd(),
      rlimitMode,
      allocIoas("@iommufd"),
      mock("@ioas"),
      { op: "memfd", size: 2 * PAGE, as: "@memfd" },
      fork,
      by(mapFile),
      exit,
      changeProcess,
      gives(2 * KIB, locked),
      unmap(START, 2 * PAGE),
      gives(0, locked),
    ],
  }),
  scenario({
    id: "type1-other-process",
    title: "memory of another process is mapped for a container, counts for it, and goes without it",
    needs: LEGACY,
    steps: [
      openContainer(),
      openGroup("edu0"),
      setContainer("@group", "@container"),
      setIommu("@container"),
      getDeviceFd("@group", "edu0"),
      command(MASTER_ON),
      put(0, 0x11),
      fork,
      by(put(0, 0x22)),
      by(mapDma(A, PAGE, USER)),
      by(mapDma(B, PAGE, USER + BigInt(PAGE))),
      ...counts(locked, 0, 2 * KIB),
      deviceReads(A),
      deviceWrites(B),
      gives(0, look(PAGE)),
      gives(0, by(look(PAGE))),
      exit,
      deviceWrites(B + 8),
      close("@device"),
    ],
  }),
  scenario({
    id: "type1-new-owner",
    title: "a process that gives a new address to another's mapping has its pages counted for itself",
    needs: LEGACY,
    steps: [
      openContainer(),
      openGroup("edu0"),
      setContainer("@group", "@container"),
      setIommu("@container"),
      mapDma(A, 2 * PAGE, USER),
      fork,
      takeAddress(A, 2 * PAGE),
      by(newAddress(USER, A, 2 * PAGE)),
      ...counts(locked, 0, 2 * KIB),
      exit,
      gives(0, locked),
    ],
  }),
  scenario({
    id: "type1-new-owner-limit",
    title: "a process that may not lock so much gives another's mapping no new address",
    needs: LEGACY,
    steps: [
      withoutLock,
      openContainer(),
      openGroup("edu0"),
      setContainer("@group", "@container"),
      setIommu("@container"),
      mapDma(A, 2 * PAGE, USER),
      lockOnePage,
      fork,
      takeAddress(A, 2 * PAGE),
      refused("ENOMEM", by(newAddress(USER, A, 2 * PAGE))),
      ...counts(locked, 2 * KIB, 0),
      newAddress(USER, A, 2 * PAGE),
      ...counts(locked, 2 * KIB, 0),
    ],
  }),
  scenario({
    id: "type1-replay-caller",
    breaks: "type1-replay-caller",
    title: "a group that joins a container reaches the memory of the process that mapped it, whoever lets it join",
    needs: LEGACY,
    steps: [
      openContainer(),
      openGroup("mtty0"),
      setContainer("@group", "@container"),
      setIommu("@container"),
      mapDma(A, PAGE, USER),
      mapDma(B, PAGE, USER + BigInt(PAGE)),
      put(0, 0x11),
      fork,
      by(put(0, 0x22)),
      openGroup("edu0", "@group1"),
      by(setContainer("@group1", "@container")),
      ...counts(locked, 2 * KIB, 0),
      getDeviceFd("@group1", "edu0"),
      command(MASTER_ON),
      deviceReads(A),
      deviceWrites(B),
      gives(0, look(PAGE)),
      gives(0, by(look(PAGE))),
    ],
  }),
  scenario({
    id: "type1-replay-of-gone",
    breaks: "type1-replay-caller",
    title: "a group can't join a container with memory of a process that has ended",
    needs: LEGACY,
    steps: [
      openContainer(),
      openGroup("mtty0"),
      setContainer("@group", "@container"),
      setIommu("@container"),
      fork,
      by(mapDma(A, PAGE, USER)),
      exit,
      openGroup("edu0", "@group1"),
      refused("EFAULT", setContainer("@group1", "@container")),
    ],
  }),
  scenario({
    id: "vm-of-other-process",
    title: "a VM and its VFIO device answer only the process that made the VM",
    needs: { ...CDEV, kconfig: [...CDEV.kconfig, "KVM"] },
    steps: [
      openKvm(),
      createVm(),
      createKvmVfio(),
      openCdev("mtty0"),
      fork,
      refused("EIO", by(createKvmVfio())),
      refused("EIO", by(addFile("@kvm-vfio", "@device"))),
      addFile("@kvm-vfio", "@device"),
    ],
  }),
];
