/** Fault queues: page faults that user space answers. */
import { PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Place } from "../model/program.ts";
import { POLL } from "../model/uapi/poll.ts";
import { allocIoas, attach, close, destroy, ioctl, map, openIommufd, throughNode } from "./calls.ts";
import { mock, replace, test } from "./mocks.ts";
import { CDEV } from "./needs.ts";
import { allocFaultQueue, allocHwpt, FAULT_ID_VALID, NEST_PARENT, refusedHwpt } from "./page-table-calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const MSI_WINDOW = 0xfee0_0000;

/** A function that is bound, and an IOAS. */
const bound: readonly Call[] = [...throughNode("edu0"), allocIoas("@iommufd")];

const MOCK = { since: "6.11", kconfig: ["IOMMUFD", "IOMMUFD_TEST"], mock: true } as const;

/** A mock, and a nested page table with a fault queue that it can move to. */
const faulting: readonly Call[] = [
  openIommufd(),
  allocIoas("@iommufd"),
  mock("@ioas"),
  allocFaultQueue(),
  allocHwpt("@devid", "@ioas", { flags: NEST_PARENT }, "@parent"),
  allocHwpt(
    "@devid",
    "@parent",
    { flags: FAULT_ID_VALID, fault_id: "@fault", data_type: 0xdead, data_len: 4, data_uptr: { fields: {} } },
    "@nested",
  ),
];
const fault = (grpid: number, pasid = 0): Call =>
  test("TRIGGER_IOPF", 0, { dev_id: "@devid", pasid, grpid, perm: 1, addr: 0x1000 * grpid });
/** Says that the fault of that cookie was handled. */
const answer = (cookie: number, place?: Place): Call => ({
  op: "write",
  fd: "@fault-queue",
  count: 8,
  bytes: [cookie],
  ...(place === undefined ? {} : { place }),
});
const READABLE = POLL.POLLIN | POLL.POLLOUT | POLL.POLLRDNORM;

export const FAULT_QUEUES: readonly Scenario[] = [
  scenario({
    id: "fault-queue-life",
    title: "a fault queue is in use by its file, which keeps the iommufd, and by page tables",
    needs: { ...CDEV, since: "6.11" },
    steps: [
      ...bound,
      refused("EFAULT", allocFaultQueue("@fault9", "readonly")),
      refused("EOPNOTSUPP", ioctl("@iommufd", "IOMMU_FAULT_QUEUE_ALLOC", { size: 16, flags: 1 })),
      allocFaultQueue(),
      gives(POLL.POLLOUT, { op: "poll", fd: "@fault-queue" }),
      gives(0, { op: "read", fd: "@fault-queue", count: 80 }),
      refused("ESPIPE", { op: "read", fd: "@fault-queue", count: 8 }),
      refused("ESPIPE", { op: "pread", fd: "@fault-queue", count: 40, offset: 0 }),
      refused("ESPIPE", { op: "write", fd: "@fault-queue", count: 4 }),
      refused("EINVAL", { op: "write", fd: "@fault-queue", count: 8, bytes: [1, 0, 0, 0, 2] }),
      refused("EINVAL", { op: "write", fd: "@fault-queue", count: 8, bytes: [1] }),
      refused("EFAULT", { op: "write", fd: "@fault-queue", count: 8, place: "null" }),
      gives(0, { op: "write", fd: "@fault-queue", count: 0 }),
      refused("EBUSY", destroy("@iommufd", "@fault")),
      close("@fault-queue"),
      destroy("@iommufd", "@fault"),
      allocFaultQueue("@fault1"),
      map("@iommufd", "@ioas", 0, PAGE),
      close("@device"),
      close("@iommufd"),
      gives(0, { op: "read", fd: "@fault-queue1", count: 0 }),
      close("@fault-queue1"),
    ],
  }),
  scenario({
    id: "fault-queue-of-table",
    title: "a page table with a fault queue takes no function whose faults can't wait for an answer",
    needs: { ...CDEV, since: "6.13" },
    steps: [
      ...bound,
      refused("ENOENT", refusedHwpt("@devid", "@ioas", { flags: FAULT_ID_VALID, fault_id: 77 })),
      allocFaultQueue(),
      refused(
        "EOPNOTSUPP",
        refusedHwpt("@devid", "@ioas", { flags: FAULT_ID_VALID | NEST_PARENT, fault_id: "@fault" }),
      ),
      allocHwpt("@devid", "@ioas", { flags: FAULT_ID_VALID, fault_id: "@fault" }),
      close("@fault-queue"),
      refused("EBUSY", destroy("@iommufd", "@fault")),
      refused("ENODEV", attach("@device", "@table")),
      map("@iommufd", "@ioas", MSI_WINDOW, PAGE),
      destroy("@iommufd", "@table"),
      destroy("@iommufd", "@fault"),
    ],
  }),
  scenario({
    id: "faults-answered",
    title: "faults of a mock are read in the order that they came, and wait for an answer each",
    needs: MOCK,
    steps: [
      ...faulting,
      refused("ENOENT", test("TRIGGER_IOPF", 0, { dev_id: "@ioas" })),
      refused(
        "ENOENT",
        refusedHwpt("@devid", "@parent", {
          flags: FAULT_ID_VALID,
          fault_id: 77,
          data_type: 0xdead,
          data_len: 4,
          data_uptr: { fields: {} },
        }),
      ),
      fault(1),
      gives(0, { op: "read", fd: "@fault-queue", count: 40 }),
      replace("@stdev", "@nested"),
      gives(POLL.POLLOUT, { op: "poll", fd: "@fault-queue" }),
      fault(2),
      fault(3),
      fault(4, 1),
      gives(READABLE, { op: "poll", fd: "@fault-queue" }),
      gives(80, { op: "read", fd: "@fault-queue", count: 80 }),
      gives(READABLE, { op: "poll", fd: "@fault-queue" }),
      refused("EINVAL", answer(3)),
      gives(8, answer(2)),
      refused("EINVAL", answer(2)),
      gives(40, { op: "read", fd: "@fault-queue", count: 240 }),
      gives(POLL.POLLOUT, { op: "poll", fd: "@fault-queue" }),
      gives(8, { op: "write", fd: "@fault-queue", count: 16, bytes: [1, 0, 0, 0, 1, 0, 0, 0, 1] }),
      gives(8, answer(2)),
    ],
  }),
  scenario({
    id: "faults-of-functions",
    title: "since 6.18 only mocks can be made to fault",
    needs: { ...CDEV, since: "6.18", kconfig: [...CDEV.kconfig, "IOMMUFD_TEST"] },
    steps: [...bound, refused("EINVAL", test("TRIGGER_IOPF", 0, { dev_id: "@devid" }))],
  }),
  scenario({
    id: "faults-of-leavers",
    title: "faults of a mock that is gone need no answer, and can't be read any more; others of the queue stay",
    needs: MOCK,
    steps: [
      ...faulting,
      replace("@stdev", "@nested"),
      mock("@nested", 1),
      fault(1),
      gives(40, { op: "read", fd: "@fault-queue", count: 40 }),
      fault(2),
      test("TRIGGER_IOPF", 0, { dev_id: "@devid1", grpid: 3, addr: 3 }),
      refused("EBUSY", destroy("@iommufd", "@nested")),
      destroy("@iommufd", "@stdev"),
      refused("EINVAL", answer(1)),
      gives(40, { op: "read", fd: "@fault-queue", count: 240 }),
      close("@fault-queue"),
      refused("EBUSY", destroy("@iommufd", "@fault")),
      test("TRIGGER_IOPF", 0, { dev_id: "@devid1" }),
      destroy("@iommufd", "@stdev1"),
      destroy("@iommufd", "@nested"),
      destroy("@iommufd", "@fault"),
    ],
  }),
  scenario({
    id: "faults-no-room",
    title: "since 7.2 a read that has no room for the first fault is told so",
    needs: { ...MOCK, since: "7.2" },
    steps: [
      ...faulting,
      replace("@stdev", "@nested"),
      fault(1),
      refused("EINVAL", { op: "read", fd: "@fault-queue", count: 0 }),
      gives(40, { op: "read", fd: "@fault-queue", count: 40 }),
      refused("EFAULT", answer(1, "null")),
    ],
  }),
  scenario({
    id: "fault-read-loops",
    breaks: "fault-read-loops",
    title: "a fault that can't be handed over is there for the next read",
    needs: MOCK,
    steps: [
      ...faulting,
      replace("@stdev", "@nested"),
      fault(1),
      refused("EFAULT", { op: "read", fd: "@fault-queue", count: 40, place: "readonly" }),
      gives(40, { op: "read", fd: "@fault-queue", count: 40 }),
    ],
  }),
  scenario({
    id: "fault-replace-keeps",
    breaks: "fault-replace-keeps",
    title: "faults of a mock that moves to a page table without a queue can't be read any more",
    needs: MOCK,
    steps: [
      ...faulting,
      replace("@stdev", "@nested"),
      fault(1),
      replace("@stdev", "@parent"),
      gives(0, { op: "read", fd: "@fault-queue", count: 40 }),
    ],
  }),
];
