/** How programs begin that are about functions with drivers of their own. */
import { ioctl, ioctlValue } from "../../model/ioctl-calls.ts";
import { DeviceFile } from "../../model/vfio/device.ts";
import { PCI_IRQ_COUNT, PCI_REGION } from "../../model/vfio/device-info.ts";
import { FEATURE, FEATURE_INDEX } from "../../model/vfio/feature.ts";
import { STATE } from "../../model/vfio/migration-states.ts";
import { DriverMigration } from "../../model/vfio-pci/drivers/migration.ts";
import { oneIn, pick } from "./dice.ts";
import { MIGRATION_MOTIFS, setState } from "./migration-motifs.ts";
import type { Make } from "./motif-calls.ts";
import { type Motif, openDevice } from "./motifs.ts";
import type { Situation } from "./moves.ts";

const openOne = (on: Situation, make: Make): string => openDevice(on, make, pick(on.dice, on.focus.devices));

/** A device that is open, and nothing else. */
const opened: Motif = (on, make) => {
  openOne(on, make);
};

/** A device is asked for all that it has: information, every region and interrupt, every feature. */
const sweep: Motif = (on, make) => {
  const device = openOne(on, make);
  const argsz = pick(on.dice, [24, 24, 256]);
  make(ioctl(device, "VFIO_DEVICE_GET_INFO", { argsz }));
  for (let index = 0; index < PCI_REGION.COUNT + 4; index++) {
    make(ioctl(device, "VFIO_DEVICE_GET_REGION_INFO", { argsz: pick(on.dice, [32, 256]), index }));
  }
  for (let index = 0; index <= PCI_IRQ_COUNT; index++) {
    make(ioctl(device, "VFIO_DEVICE_GET_IRQ_INFO", { argsz: 16, index }));
  }
  for (const index of Object.values(FEATURE_INDEX)) {
    make(ioctl(device, "VFIO_DEVICE_FEATURE", { argsz: 8, flags: FEATURE.PROBE | index }));
  }
};

/** Both ends of a region that was told of. */
const edges: Motif = (on, make) => {
  const device = openOne(on, make);
  const file = on.machine.fileOf(device);
  if (file?.kind !== "device") return;
  const index = pick(on.dice, [0, 0, 2, 2, 4, 7, 9, 10, 11]);
  make(ioctl(device, "VFIO_DEVICE_GET_REGION_INFO", { argsz: 256, index }));
  make({ op: "pread", fd: device, count: 4, offset: index * 2 ** 40 });
};

/** Logging of a range that every device can log, and a report of a part of it. */
const logging: Motif = (on, make) => {
  const device = openOne(on, make);
  const page = pick(on.dice, [4096, 4096, 8192, 0x20_0000]);
  const length = page * pick(on.dice, [64, 64, 128, 8]);
  const flags = FEATURE.SET | FEATURE_INDEX.DMA_LOGGING_START;
  const begin = pick(on.dice, [0, 0x100_0000]);
  const ranges = { fields: { iova_0: begin, length_0: length } };
  make(
    ioctl(device, "VFIO_DEVICE_FEATURE_DMA_LOGGING_START", {
      argsz: 32,
      flags,
      page_size: page,
      num_ranges: 1,
      ranges,
    }),
  );
  const report = { argsz: 40, flags: FEATURE.GET | FEATURE_INDEX.DMA_LOGGING_REPORT, page_size: 4096 };
  const bitmap = { fields: {} };
  const iova = begin + (oneIn(on.dice, 4) ? length : 0);
  make(ioctl(device, "VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT", { ...report, iova, length: page * 8, bitmap }));
  if (oneIn(on.dice, 2)) return;
  const stop = FEATURE.SET | FEATURE_INDEX.DMA_LOGGING_STOP;
  make(ioctl(device, "VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP", { argsz: 8, flags: stop }));
};

/** A device that is reset, with the registers that a reset leaves or takes back written before. */
const reset: Motif = (on, make) => {
  const device = openOne(on, make);
  const config = PCI_REGION.CONFIG * 2 ** 40;
  make({ op: "pwrite", fd: device, count: 2, offset: config + 4, bytes: [pick(on.dice, [7, 3, 1]), 0] });
  const at = pick(on.dice, [0x10, 0x18, 0x20]);
  make({ op: "pwrite", fd: device, count: 4, offset: config + at, bytes: [0, 0xf0, 0xff, 0xff] });
  if (oneIn(on.dice, 2)) make(ioctlValue(device, "VFIO_DEVICE_RESET"));
  make({ op: "pread", fd: device, count: 4, offset: config + at });
  make({ op: "pread", fd: device, count: 1, offset: 18 });
};

/** A stream as the device might have saved it, but for one byte near its begin. */
const foreign: Motif = (on, make) => {
  const device = openOne(on, make);
  const file = on.machine.fileOf(device);
  const migration = file instanceof DeviceFile ? file.device.ops.migration : undefined;
  if (!(migration instanceof DriverMigration)) return;
  const bytes = [...migration.stopped(on.machine.k, false)];
  const at = on.dice.roll(24);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << on.dice.roll(8));
  const session = setState(on, make, device, STATE.RESUMING);
  make({ op: "write", fd: session, count: bytes.length, bytes });
};

/** A device that is reset in some migration state, and asked for its state. */
const resetWhile: Motif = (on, make) => {
  const device = openOne(on, make);
  setState(on, make, device, 1 + on.dice.roll(7));
  make(ioctlValue(device, "VFIO_DEVICE_RESET"));
  const flags = FEATURE.GET | FEATURE_INDEX.MIG_DEVICE_STATE;
  make(ioctl(device, "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE", { argsz: 16, flags }));
};

export const DRIVER_MOTIFS: readonly Motif[] = [opened, sweep, edges, edges, reset];
export const STREAM_MOTIFS: readonly Motif[] = [...MIGRATION_MOTIFS, foreign, resetWhile];
export const LOGGING_MOTIFS: readonly Motif[] = [logging, logging];
