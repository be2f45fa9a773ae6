/** Evidence of what mtty and mdpy do otherwise: their migration, interrupts and regions. */
import { REGION_SIZE } from "../model/vfio/device-info.ts";
import { STATE } from "../model/vfio/migration-states.ts";
import {
  close,
  createMdev,
  getDeviceFd,
  getInfo,
  getIrqInfo,
  getMigrationState,
  ioctl,
  openEventfd,
  read,
  removeMdev,
  setIrqs,
  setMigrationState,
  throughContainer,
  write,
} from "./calls.ts";
import { refused, type Scenario, scenario } from "./scenario.ts";

const MDEV = { kconfig: ["VFIO_GROUP", "VFIO_CONTAINER", "VFIO_MDEV"] } as const;
const MIGRATION = { ...MDEV, since: "6.7" } as const;

const card = throughContainer("mtty0");
const display = throughContainer("mdpy0");
const reopened = [close("@device"), getDeviceFd("@group", "mtty0", "@device1")];

const EVENTFD_TRIGGER = 36;
const NONE_TRIGGER = 33;
/** A header of another version, and a port whose FIFO begins behind its end. */
const MAGIC = [0x4e, 0x2c, 0x3e, 0x8c, 0x89, 0x09, 0x9d, 0x7e];
const header = (version: number) => [...MAGIC, version, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
const port = (head: number) => Array.from({ length: 36 }, (_, at) => (at === 24 ? head : at === 33 ? 16 : 0));
const ports = (index: number) => index * REGION_SIZE;
const CONFIG = ports(7);
const LINE_CONTROL = 3;
const DLAB = 0x80;
const FRAME_BUFFER = 4096;

const startLogging = ioctl("@device", "VFIO_DEVICE_FEATURE_DMA_LOGGING_START", {
  argsz: 32,
  flags: 0x2_0006,
  page_size: 4096,
  num_ranges: 1,
  ranges: { fields: { iova_0: 0, length_0: 4096 } },
});

export const SAMPLE_EVIDENCE: readonly Scenario[] = [
  scenario({
    id: "mtty-no-enomsg",
    breaks: "mtty-no-enomsg",
    title: "who reads a session to its end in PRE_COPY is told that there is no more for now",
    needs: MIGRATION,
    steps: [
      ...card,
      setMigrationState("@device", STATE.PRE_COPY),
      read("@migration", { count: 256 }),
      refused("ENOMSG", read("@migration", { count: 256 })),
    ],
  }),
  scenario({
    id: "mtty-bad-header-counts",
    breaks: "mtty-bad-header-counts",
    title: "a stream whose header was refused is not loaded",
    needs: MIGRATION,
    steps: [
      ...card,
      setMigrationState("@device", STATE.RESUMING),
      refused("EFAULT", write("@migration", [...header(2), ...port(0)])),
      refused("EINVAL", setMigrationState("@device", STATE.STOP, "@none")),
    ],
  }),
  scenario({
    id: "mtty-stream-unchecked",
    breaks: "mtty-stream-unchecked",
    title: "a stream that puts a FIFO's begin behind its end is not loaded",
    needs: MIGRATION,
    steps: [
      createMdev(),
      ...throughContainer("mdev0"),
      setMigrationState("@device", STATE.RESUMING),
      write("@migration", [...header(1), ...port(200)]),
      refused("EINVAL", setMigrationState("@device", STATE.STOP, "@none")),
    ],
  }),
  scenario({
    id: "mtty-state-survives-close",
    breaks: "mtty-state-survives-close",
    title: "a device that was closed while it was stopped is found running",
    needs: MIGRATION,
    steps: [...card, setMigrationState("@device", STATE.STOP), ...reopened, getMigrationState("@device1")],
  }),
  scenario({
    id: "mtty-resume-reopened",
    breaks: "mtty-resume-reopened",
    title: "a device that was closed in RESUMING can be stopped by who opens it next",
    needs: MIGRATION,
    steps: [
      ...card,
      setMigrationState("@device", STATE.RESUMING),
      ...reopened,
      setMigrationState("@device1", STATE.STOP, "@none"),
    ],
  }),
  scenario({
    id: "mtty-data-fd-outlives",
    breaks: "mtty-data-fd-outlives",
    title: "a session's descriptor that outlives its device takes nothing more",
    needs: MIGRATION,
    steps: [
      createMdev(),
      ...throughContainer("mdev0"),
      setMigrationState("@device", STATE.RESUMING),
      close("@device"),
      close("@group"),
      removeMdev(),
      refused("ENODEV", write("@migration", header(1))),
    ],
  }),
  scenario({
    id: "mtty-logging-unchecked",
    breaks: "mtty-logging-unchecked",
    title: "DMA logging that was started is not started again",
    needs: MIGRATION,
    steps: [...card, startLogging, refused("EINVAL", startLogging)],
  }),
  scenario({
    id: "migration-blocked-arc",
    breaks: "migration-blocked-arc",
    title: "a device in STOP_COPY does not go back to PRE_COPY, and says so",
    needs: MIGRATION,
    steps: [
      ...card,
      setMigrationState("@device", STATE.STOP_COPY),
      refused("EINVAL", setMigrationState("@device", STATE.PRE_COPY, "@none")),
    ],
  }),
  scenario({
    id: "sample-irqs-need-info",
    breaks: "sample-irqs-need-info",
    title: "GET_IRQ_INFO needs no GET_INFO before it",
    needs: MDEV,
    steps: [createMdev(), ...throughContainer("mdev0"), getIrqInfo("@device", 0)],
  }),
  scenario({
    id: "mtty-irq-refused",
    breaks: "mtty-irq-refused",
    title: "an interrupt type that a device has not has a count of zero",
    needs: MDEV,
    steps: [...card, getInfo("@device"), getIrqInfo("@device", 4)],
  }),
  scenario({
    id: "mdpy-irq-flags",
    breaks: "mdpy-irq-flags",
    title: "an interrupt type that a device has not has no flags",
    needs: MDEV,
    steps: [...display, getInfo("@device"), getIrqInfo("@device", 0, 1)],
  }),
  scenario({
    id: "mtty-irq-lost",
    breaks: "mtty-irq-lost",
    title: "who is refused another eventfd keeps the one that is set",
    needs: MIGRATION,
    steps: [
      ...card,
      getInfo("@device"),
      openEventfd(),
      setIrqs("@device", EVENTFD_TRIGGER, 1, ["@eventfd"]),
      refused("EINVAL", setIrqs("@device", EVENTFD_TRIGGER, 1, ["@container"])),
      setIrqs("@device", NONE_TRIGGER, 1),
      read("@eventfd", { count: 8 }),
    ],
  }),
  scenario({
    id: "mtty-irqs-before-6.7",
    breaks: "mtty-irqs-before-6.7",
    title: "an interrupt that was disabled can't be disabled again",
    needs: MDEV,
    steps: [
      createMdev(),
      ...throughContainer("mdev0"),
      getInfo("@device"),
      openEventfd(),
      setIrqs("@device", EVENTFD_TRIGGER, 1, ["@eventfd"]),
      setIrqs("@device", NONE_TRIGGER, 0),
      refused("EINVAL", setIrqs("@device", NONE_TRIGGER, 0)),
    ],
  }),
  scenario({
    id: "mtty-no-bounds",
    breaks: "mtty-no-bounds",
    title: "a card of one port has no second one",
    needs: MDEV,
    steps: [...card, refused("EFAULT", write("@device", [0x41], ports(1)))],
  }),
  scenario({
    id: "sample-overruns",
    breaks: "sample-overruns",
    title: "the configuration space ends where GET_REGION_INFO says",
    needs: MDEV,
    steps: [...card, refused("EFAULT", read("@device", { count: 4, offset: CONFIG + 0x200 }))],
  }),
  scenario({
    id: "mtty-full-fifo",
    breaks: "mtty-full-fifo",
    title: "16 bytes that were sent can be received",
    needs: MDEV,
    steps: [
      ...card,
      ...Array.from({ length: 16 }, (_, i) => write("@device", [0x41 + i], 0)),
      read("@device", { count: 1, offset: 0 }),
    ],
  }),
  scenario({
    id: "mtty-divisor-ors",
    breaks: "mtty-divisor-ors",
    title: "a divisor that is written again is what was written last",
    needs: MDEV,
    steps: [
      ...card,
      write("@device", [DLAB], LINE_CONTROL),
      write("@device", [0x0c], 0),
      write("@device", [0x01], 0),
      read("@device", { count: 1, offset: 0 }),
    ],
  }),
  scenario({
    id: "mdpy-frame-offset",
    breaks: "mdpy-frame-offset",
    title: "a byte of the frame buffer is read where it was written",
    needs: MDEV,
    steps: [
      ...display,
      write("@device", [0xaa, 0xbb, 0xcc, 0xdd], FRAME_BUFFER + 64),
      read("@device", { count: 4, offset: FRAME_BUFFER }),
    ],
  }),
];
