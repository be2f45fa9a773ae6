/** Functions with drivers of their own, as their users have them: what is saved of them, what is hidden, what is made up. */
import type { Call, Place } from "../model/program.ts";
import { STATE } from "../model/vfio/migration-states.ts";
import { record } from "../model/vfio-pci/drivers/records.ts";
import {
  getMigrationState,
  getRegionInfo,
  ioctl,
  poll,
  read,
  resetDevice,
  setMigrationState,
  throughContainer,
  write,
  writeFrom,
} from "./calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const needs = { kconfig: ["VFIO_GROUP", "VFIO_CONTAINER"] } as const;
const REGION = 2 ** 40;
const CONFIG = 7 * REGION;
const PAGE = 4096;
const GIB = 2 ** 30;

const device = "@device";
const at = (region: number, offset: number): number => region * REGION + offset;
const readAt = (offset: number, count: number, place?: Place): Call => ({
  op: "pread",
  fd: device,
  count,
  offset,
  ...(place === undefined ? {} : { place }),
});
const mapAt = (offset: number, length = PAGE): Call => ({ op: "mmap", fd: device, length, prot: 3, offset });
const precopyInfo = (session: string): Call => ioctl(session, "VFIO_MIG_GET_PRECOPY_INFO", { argsz: 24 });

const startLogging = (pageSize: number, length: number): Call =>
  ioctl(device, "VFIO_DEVICE_FEATURE_DMA_LOGGING_START", {
    argsz: 32,
    flags: 0x2_0006,
    page_size: pageSize,
    num_ranges: 1,
    ranges: { fields: { iova_0: 0, length_0: length } },
  });
const report = (iova: number, length: number): Call =>
  ioctl(device, "VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT", {
    argsz: 40,
    flags: 0x1_0008,
    iova,
    length,
    page_size: PAGE,
    bitmap: { fields: {} },
  });
const stopLogging = ioctl(device, "VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP", { argsz: 8, flags: 0x2_0007 });

/** What the suite's mlx5 function is saved as: room, a state of 96 bytes, and one of 40 behind a copy of the running one. */
const MLX5_WHOLE = 16 + 8 + 16 + 96;
const MLX5_REST = 16 + 40;
const MATCH_SIZE = 40;

export const DRIVERS: readonly Scenario[] = [
  scenario({
    id: "mlx5-migrates",
    title: "a virtual function of mlx5 is saved while it runs and when it is stopped, as records that it takes back",
    needs: { ...needs, since: "6.3" },
    steps: [
      ...throughContainer("mlx5vf0"),
      setMigrationState(device, STATE.PRE_COPY, "@saving"),
      precopyInfo("@saving"),
      poll("@saving"),
      gives(MLX5_WHOLE, read("@saving", { count: 256 }, "@data0")),
      refused("ENOMSG", read("@saving", { count: 1 })),
      gives(0, poll("@saving")),
      setMigrationState(device, STATE.STOP_COPY, "@none"),
      gives(MLX5_REST, read("@saving", { count: 256 }, "@data1")),
      gives(0, read("@saving", { count: 1 })),
      setMigrationState(device, STATE.RESUMING, "@resuming"),
      refused("ENODEV", read("@saving", { count: 1 })),
      gives(MLX5_WHOLE, writeFrom("@resuming", "@data0", MLX5_WHOLE)),
      gives(MLX5_REST, writeFrom("@resuming", "@data1", MLX5_REST)),
      setMigrationState(device, STATE.RUNNING, "@none"),
      refused("ENODEV", writeFrom("@resuming", "@data1", 1)),
    ],
  }),
  scenario({
    id: "mlx5-records-refused",
    title:
      "records that nobody knows are skipped where they may be, and spoil the session where not, as too large ones do",
    needs: { ...needs, since: "6.2" },
    steps: [
      ...throughContainer("mlx5vf0"),
      setMigrationState(device, STATE.RESUMING, "@resuming"),
      gives(20, write("@resuming", [...record(9, Uint8Array.of(1, 2, 3, 4), true)])),
      refused("EFAULT", { op: "write", fd: "@resuming", count: 16, place: "unmapped" }),
      refused("EOPNOTSUPP", write("@resuming", [...record(9, Uint8Array.of(1))])),
      refused("ENODEV", write("@resuming", [0])),
      setMigrationState(device, STATE.STOP, "@none"),
      setMigrationState(device, STATE.RESUMING, "@again"),
      refused("ENOMEM", write("@again", [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
      resetDevice(device),
      getMigrationState(device),
    ],
  }),
  scenario({
    id: "mlx5-logs",
    title: "mlx5 logs by pages that it has, whatever is asked for, and one log at a time",
    needs,
    steps: [
      ...throughContainer("mlx5vf0"),
      startLogging(PAGE, 64 * PAGE),
      refused("EINVAL", startLogging(PAGE, 64 * PAGE)),
      stopLogging,
      refused("EINVAL", report(0, PAGE)),
      startLogging(2 << 20, 64 << 20),
    ],
  }),
  scenario({
    id: "driver-reset-while-saving",
    title:
      "a reset ends the session of a driver's device and brings it back to RUNNING; the descriptor is good for nothing",
    needs: { ...needs, since: "6.2" },
    steps: [
      ...throughContainer("mlx5vf0"),
      setMigrationState(device, STATE.PRE_COPY, "@saving"),
      resetDevice(device),
      getMigrationState(device),
      refused("ENODEV", read("@saving", { count: 1 })),
      refused("EINVAL", precopyInfo("@saving")),
      setMigrationState(device, STATE.PRE_COPY, "@again"),
      refused("ENODEV", precopyInfo("@saving")),
    ],
  }),
  scenario({
    id: "hisi-acc-half-bar",
    title:
      "half of BAR 2 is the driver's: it is neither told of, nor read, nor mapped, unless the device can't migrate",
    needs,
    steps: [
      ...throughContainer("sec0"),
      getRegionInfo(device, 2),
      refused("EINVAL", readAt(at(2, 32 * 1024), 4)),
      refused("EINVAL", write(device, [0], at(2, 64 * 1024 - 1))),
      refused("EINVAL", mapAt(at(2, 32 * 1024 - PAGE), 2 * PAGE)),
    ],
  }),
  scenario({
    id: "hisi-acc-match",
    title:
      "what a stream begins with must be of a device like this; one whose queues nobody has made ready has no more",
    needs,
    steps: [
      ...throughContainer("sec1"),
      setMigrationState(device, STATE.STOP_COPY, "@saving"),
      gives(MATCH_SIZE, read("@saving", { count: 256 }, "@match")),
      setMigrationState(device, STATE.RESUMING, "@resuming"),
      refused("ENOMEM", { op: "write", fd: "@resuming", count: 177 }),
      refused("EFAULT", { op: "write", fd: "@resuming", count: MATCH_SIZE }),
      refused("EINVAL", setMigrationState(device, STATE.STOP, "@none")),
      gives(MATCH_SIZE, writeFrom("@resuming", "@match", MATCH_SIZE)),
      setMigrationState(device, STATE.RUNNING, "@none"),
    ],
  }),
  scenario({
    id: "pds-logs",
    title: "pds logs whole words of its bitmap, and reports what lies in them",
    needs: { ...needs, since: "6.6" },
    steps: [
      ...throughContainer("pdsvf0"),
      refused("EINVAL", startLogging(PAGE, 8 * PAGE)),
      startLogging(PAGE, 64 * PAGE),
      report(0, 64 * PAGE),
      refused("EINVAL", report(32 * PAGE, 64 * PAGE)),
      setMigrationState(device, STATE.STOP_COPY, "@saving"),
      setMigrationState(device, STATE.STOP, "@none"),
      refused("EINVAL", report(0, PAGE)),
    ],
  }),
  scenario({
    id: "qat-setup",
    title: "a stream of qat begins with a setup, which must be that of the device",
    needs: { ...needs, since: "6.10" },
    steps: [
      ...throughContainer("qatvf0"),
      setMigrationState(device, STATE.PRE_COPY, "@saving"),
      gives(48, read("@saving", { count: 256 }, "@setup")),
      setMigrationState(device, STATE.RESUMING, "@resuming"),
      refused("EINVAL", { op: "write", fd: "@resuming", count: 48 }),
      gives(48, writeFrom("@resuming", "@setup", 48)),
      refused("EINVAL", setMigrationState(device, STATE.STOP, "@none")),
    ],
  }),
  scenario({
    id: "virtio-transitional",
    title:
      "a virtual function of virtio-net looks like a transitional card, whose registers answer once I/O is enabled",
    needs: { ...needs, since: "6.8" },
    steps: [
      ...throughContainer("virtiovf0"),
      getRegionInfo(device, 0),
      readAt(CONFIG, 64),
      refused("EIO", readAt(18, 1)),
      write(device, [1, 0], CONFIG + 4),
      readAt(CONFIG + 4, 2),
      write(device, [0xff, 0xff, 0xff, 0xff], CONFIG + 0x10),
      readAt(CONFIG + 0x10, 4),
      gives(1, readAt(18, 1)),
      gives(4, write(device, [0, 0, 0, 0], 4)),
      refused("EFAULT", readAt(18, 1, "readonly")),
      refused("EINVAL", readAt(16, 1)),
      refused("EINVAL", readAt(30, 4)),
      resetDevice(device),
      refused("EIO", readAt(18, 1)),
    ],
  }),
  scenario({
    id: "nvgrace-memory",
    title: "a GPU's memory looks like a BAR that is larger than it: behind its end are ones, and nothing to map",
    needs: { ...needs, since: "6.9" },
    steps: [
      ...throughContainer("grace0"),
      ioctl(device, "VFIO_DEVICE_GET_REGION_INFO", { argsz: 256, index: 4 }),
      getRegionInfo(device, 2),
      write(device, [1, 2, 3, 4], at(4, 0)),
      gives(4, readAt(at(4, 0), 4)),
      gives(4, readAt(at(4, 2 * GIB), 4)),
      gives(2, readAt(at(4, 4 * GIB - 2), 4)),
      refused("EINVAL", readAt(at(4, 4 * GIB), 1)),
      mapAt(at(4, 2 * GIB - PAGE)),
      refused("EINVAL", mapAt(at(4, 2 * GIB))),
      write(device, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], CONFIG + 0x20),
      gives(64, readAt(CONFIG, 64)),
      resetDevice(device),
      gives(8, readAt(CONFIG + 0x20, 8)),
    ],
  }),
  scenario({
    id: "nvgrace-not-ready",
    title: "after a reset a GPU's memory is not touched before the command register lets it answer",
    needs: { ...needs, since: "7.0" },
    steps: [
      ...throughContainer("grace1"),
      write(device, [0, 0], CONFIG + 4),
      resetDevice(device),
      write(device, [0, 0], CONFIG + 4),
      refused("EIO", write(device, [1], at(4, 0))),
      write(device, [2, 0], CONFIG + 4),
      gives(1, write(device, [1], at(4, 0))),
      refused("EFAULT", readAt(at(4, 0), 4, "readonly")),
    ],
  }),
  scenario({
    id: "igd-regions",
    title: "Intel graphics shows what firmware and two bridges have for its driver, to be read and no more",
    needs,
    steps: [
      ...throughContainer("igd0"),
      ioctl(device, "VFIO_DEVICE_GET_REGION_INFO", { argsz: 256, index: 9 }),
      getRegionInfo(device, 10),
      getRegionInfo(device, 11),
      refused("EINVAL", getRegionInfo(device, 12)),
      gives(32, readAt(at(9, 0), 32)),
      gives(8, readAt(at(9, 0x3ba), 8)),
      gives(2, readAt(at(9, 17 * 1024 - 2), 4)),
      refused("EINVAL", readAt(at(9, 17 * 1024), 1)),
      refused("EINVAL", write(device, [0], at(9, 0))),
      refused("EFAULT", readAt(at(10, 0), 4, "readonly")),
      gives(4, readAt(at(11, 0), 4)),
      write(device, [0, 0, 0, 0], CONFIG + 0xfc),
      readAt(CONFIG + 0xfc, 4),
    ],
  }),
  scenario({
    id: "zdev-capabilities",
    title: "a function of IBM Z tells what millicode knows of it, behind the plain information, where there is room",
    needs,
    steps: [
      ...throughContainer("zpci0"),
      ioctl(device, "VFIO_DEVICE_GET_INFO", { argsz: 24 }),
      ioctl(device, "VFIO_DEVICE_GET_INFO", { argsz: 256 }),
    ],
  }),
];
