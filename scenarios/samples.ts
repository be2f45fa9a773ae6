/** mtty and mdpy as their users have them: a card that is saved and resumed, its interrupts, a display. */
import type { Place } from "../model/program.ts";
import { STATE } from "../model/vfio/migration-states.ts";
import {
  close,
  createMdev,
  getDeviceFd,
  getInfo,
  getMigrationState,
  ioctl,
  openContainer,
  openEventfd,
  openGroup,
  read,
  resetDevice,
  setContainer,
  setIommu,
  setIrqs,
  setMigrationState,
  write,
  writeFrom,
} from "./calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const MDEV = { kconfig: ["VFIO_GROUP", "VFIO_CONTAINER", "VFIO_MDEV"] } as const;
const MIGRATION = { ...MDEV, since: "6.7" } as const;

const open = (device: string, name = "") => [
  openContainer(`@container${name}`),
  openGroup(device, `@group${name}`),
  setContainer(`@group${name}`, `@container${name}`),
  setIommu(`@container${name}`),
  getDeviceFd(`@group${name}`, device, `@device${name}`),
];

/** Registers of the first port. */
const DATA = 0;
const INTERRUPT_ENABLE = 1;
const FIFO_CONTROL = 2;
const LINE_STATUS = 5;
const RECEIVER_DATA = 1;
const NO_FIFO = 0;

/** Flags of SET_IRQS. */
const EVENTFD_TRIGGER = 36;
const EVENTFD_MASK = 12;
const NONE_TRIGGER = 33;
const NONE_UNMASK = 17;
/** Bytes before the data. */
const IRQ_SET_HEADER = 20;

const HEADER_SIZE = 24;
const STREAM_SIZE = 60;
const precopyInfo = (session: string, place?: "readonly" | number) =>
  ioctl(session, "VFIO_MIG_GET_PRECOPY_INFO", { argsz: 24 }, place === undefined ? {} : { place });
const irqInfo = (argsz: number, place?: Place, index = 0) =>
  ioctl("@device", "VFIO_DEVICE_GET_IRQ_INFO", { argsz, index }, place === undefined ? {} : { place });
const signal = setIrqs("@device", EVENTFD_TRIGGER, 1, ["@eventfd"]);

export const SAMPLES: readonly Scenario[] = [
  scenario({
    id: "mtty-migrates",
    title: "a card is saved while it runs and after it was stopped, and another goes on with what it had received",
    needs: MIGRATION,
    steps: [
      createMdev(),
      ...open("mtty0"),
      ...open("mdev0", "1"),
      write("@device", [0x41], DATA),
      setMigrationState("@device", STATE.PRE_COPY, "@saving"),
      precopyInfo("@saving"),
      gives(HEADER_SIZE, read("@saving", { count: HEADER_SIZE }, "@data0")),
      setMigrationState("@device", STATE.STOP_COPY, "@none"),
      gives(STREAM_SIZE - HEADER_SIZE, read("@saving", { count: 256 }, "@data1")),
      gives(0, read("@saving", { count: 256 })),
      setMigrationState("@device1", STATE.RESUMING, "@resuming"),
      gives(HEADER_SIZE, writeFrom("@resuming", "@data0", HEADER_SIZE)),
      refused("EINVAL", setMigrationState("@device1", STATE.RUNNING, "@none1")),
      gives(STREAM_SIZE - HEADER_SIZE, writeFrom("@resuming", "@data1", STREAM_SIZE - HEADER_SIZE)),
      setMigrationState("@device1", STATE.RUNNING, "@none1"),
      gives(1, read("@device1", { count: 1, offset: DATA })),
      refused("ENODEV", writeFrom("@resuming", "@data1", 1)),
    ],
  }),
  scenario({
    id: "mtty-reset-while-saving",
    title:
      "a reset ends the session and brings the device back to RUNNING; the descriptor stays, and is good for nothing",
    needs: MIGRATION,
    steps: [
      ...open("mtty0"),
      setMigrationState("@device", STATE.PRE_COPY_P2P, "@saving"),
      setMigrationState("@device", STATE.PRE_COPY, "@none"),
      resetDevice("@device"),
      getMigrationState("@device"),
      refused("ENODEV", read("@saving", { count: 1 })),
      refused("EINVAL", precopyInfo("@saving")),
      setMigrationState("@device", STATE.PRE_COPY, "@again"),
      refused("ENODEV", precopyInfo("@saving")),
      precopyInfo("@again"),
      close("@saving"),
    ],
  }),
  scenario({
    id: "mtty-session-faults",
    title: "a session's buffers must be where the caller says",
    needs: MIGRATION,
    steps: [
      ...open("mtty0"),
      setMigrationState("@device", STATE.PRE_COPY, "@saving"),
      refused("EFAULT", precopyInfo("@saving", 8)),
      refused("EINVAL", ioctl("@saving", "VFIO_MIG_GET_PRECOPY_INFO", { argsz: 23 })),
      refused("EFAULT", precopyInfo("@saving", "readonly")),
      refused("EFAULT", { op: "read", fd: "@saving", count: 8, place: "readonly" }),
      refused("EBADF", write("@saving", [0])),
      refused("ESPIPE", read("@saving", { count: 8, offset: 0 })),
      setMigrationState("@device", STATE.RESUMING, "@resuming"),
      refused("EFAULT", { op: "write", fd: "@resuming", count: 8, place: "unmapped" }),
      refused("ENOMEM", { op: "write", fd: "@resuming", count: STREAM_SIZE + 1 }),
    ],
  }),
  scenario({
    id: "mtty-interrupts",
    title: "a byte that is received raises INTx, which is masked until its user has had a look",
    needs: MIGRATION,
    steps: [
      ...open("mtty0"),
      getInfo("@device"),
      openEventfd(),
      refused("EINVAL", setIrqs("@device", NONE_TRIGGER, 1)),
      signal,
      refused("ENOTTY", setIrqs("@device", EVENTFD_MASK, 1, ["@eventfd"])),
      write("@device", [RECEIVER_DATA], INTERRUPT_ENABLE),
      write("@device", [1], FIFO_CONTROL),
      write("@device", [0x41], DATA),
      gives(8, read("@eventfd", { count: 8 })),
      setIrqs("@device", NONE_TRIGGER, 1),
      refused("EAGAIN", read("@eventfd", { count: 8 })),
      setIrqs("@device", NONE_UNMASK, 1),
      setIrqs("@device", NONE_TRIGGER, 1),
      gives(8, read("@eventfd", { count: 8 })),
      setIrqs("@device", NONE_TRIGGER, 0),
      refused("EBADF", setIrqs("@device", EVENTFD_TRIGGER, 1, [900])),
      refused("EINVAL", setIrqs("@device", EVENTFD_TRIGGER, 1, ["@group"])),
    ],
  }),
  scenario({
    id: "irq-structs",
    title: "structs of interrupts, and their data, must be where argsz says",
    needs: MDEV,
    steps: [
      ...open("mtty0"),
      getInfo("@device"),
      openEventfd(),
      refused("EFAULT", irqInfo(16, 12)),
      refused("EINVAL", irqInfo(15)),
      refused("EINVAL", irqInfo(16, undefined, 5)),
      refused("EFAULT", irqInfo(16, "readonly")),
      refused("EFAULT", setIrqs("@device", EVENTFD_TRIGGER, 1, ["@eventfd"], IRQ_SET_HEADER - 1)),
      refused("EFAULT", setIrqs("@device", EVENTFD_TRIGGER, 1, ["@eventfd"], IRQ_SET_HEADER)),
    ],
  }),
  scenario({
    id: "mtty-overrun",
    title: "a byte that is sent to a full FIFO is lost, and the line status says so",
    needs: MDEV,
    steps: [
      ...open("mtty0"),
      write("@device", [NO_FIFO], FIFO_CONTROL),
      write("@device", [0x41], DATA),
      write("@device", [0x42], DATA),
      read("@device", { count: 1, offset: LINE_STATUS }),
      read("@device", { count: 1, offset: DATA }),
      read("@device", { count: 1, offset: DATA }),
    ],
  }),
  scenario({
    id: "mdpy-plane",
    title: "a display tells what it shows, and lets it be mapped",
    needs: MDEV,
    steps: [
      ...open("mdpy0"),
      ioctl("@device", "VFIO_DEVICE_QUERY_GFX_PLANE", { argsz: 64, flags: 5 }),
      ioctl("@device", "VFIO_DEVICE_QUERY_GFX_PLANE", { argsz: 64, flags: 4 }),
      refused("EINVAL", ioctl("@device", "VFIO_DEVICE_QUERY_GFX_PLANE", { argsz: 64, flags: 2 })),
      refused("EINVAL", ioctl("@device", "VFIO_DEVICE_QUERY_GFX_PLANE", { argsz: 59, flags: 4 })),
      refused("EFAULT", ioctl("@device", "VFIO_DEVICE_QUERY_GFX_PLANE", { argsz: 64, flags: 4 }, { place: 40 })),
      refused(
        "EFAULT",
        ioctl("@device", "VFIO_DEVICE_QUERY_GFX_PLANE", { argsz: 64, flags: 4 }, { place: "readonly" }),
      ),
      { op: "mmap", fd: "@device", length: 2 * 2 ** 20, prot: 3, offset: 4096 },
      refused("EINVAL", { op: "mmap", fd: "@device", length: 4096, prot: 3, offset: 0 }),
      refused("EINVAL", setIrqs("@device", NONE_TRIGGER, 1)),
      resetDevice("@device"),
    ],
  }),
  scenario({
    id: "eventfd-counts",
    title: "an eventfd counts what is added to it, and takes no more than it has room for",
    steps: [
      openEventfd(),
      refused("EAGAIN", read("@eventfd", { count: 8 })),
      refused(
        "EINVAL",
        write(
          "@eventfd",
          Array.from({ length: 8 }, () => 0xff),
        ),
      ),
      gives(8, write("@eventfd", [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
      refused("EAGAIN", write("@eventfd", [1, 0, 0, 0, 0, 0, 0, 0])),
      gives(8, read("@eventfd", { count: 8 })),
    ],
  }),
];
