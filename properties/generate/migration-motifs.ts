/** Openings of programs about devices that are migrated, or used as the sample drivers have them. */
import { ioctl } from "../../model/ioctl-calls.ts";
import { PAGE } from "../../model/kernel/memory-map.ts";
import { FEATURE, FEATURE_INDEX } from "../../model/vfio/feature.ts";
import { STATE } from "../../model/vfio/migration-states.ts";
import { oneIn, pick } from "./dice.ts";
import { type Make, makeEventfd } from "./motif-calls.ts";
import { type Motif, openDevice } from "./motifs.ts";
import type { Situation } from "./moves.ts";

/** Puts a device into a state; gives the handle of the session that this may begin. */
export function setState(on: Situation, make: Make, device: string, state: number): string {
  const session = on.handles.fresh("migration");
  const flags = FEATURE.SET | FEATURE_INDEX.MIG_DEVICE_STATE;
  const fields = { argsz: 16, flags, device_state: state };
  make(ioctl(device, "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE", fields, { binds: { data_fd: session } }));
  return session;
}

/** Sends bytes to the first port, so that there is something to save. */
function send(on: Situation, make: Make, device: string): void {
  for (let i = on.dice.roll(4); i > 0; i--) {
    make({ op: "pwrite", fd: device, count: 1, offset: 0, bytes: [0x30 + on.dice.roll(10)] });
  }
}

function signal(on: Situation, make: Make, device: string): void {
  const eventfd = makeEventfd(on, make);
  const fields = { argsz: 24, flags: 36, index: on.dice.roll(2), count: 1, data: [eventfd] };
  make(ioctl(device, "VFIO_DEVICE_SET_IRQS", fields));
}

const openOne = (on: Situation, make: Make): string => openDevice(on, make, pick(on.dice, on.focus.devices));

/** A device that is open, with an interrupt. */
const interrupts: Motif = (on, make) => {
  const device = openOne(on, make);
  signal(on, make, device);
  make({ op: "pwrite", fd: device, count: 1, offset: 1, bytes: [pick(on.dice, [1, 2, 4, 8, 15])] });
};

/** A card is saved, with or without copying first while it runs; the stream goes to another, or back. */
const migrate: Motif = (on, make) => {
  const from = openOne(on, make);
  send(on, make, from);
  const read = (session: string): string => {
    const data = on.handles.fresh("data");
    make({ op: "read", fd: session, count: 256, into: data });
    return data;
  };
  const streams: string[] = [];
  let session = "";
  if (oneIn(on.dice, 2)) {
    session = setState(on, make, from, pick(on.dice, [STATE.PRE_COPY, STATE.PRE_COPY_P2P]));
    make(ioctl(session, "VFIO_MIG_GET_PRECOPY_INFO", { argsz: 24 }));
    if (oneIn(on.dice, 2)) streams.push(read(session));
    setState(on, make, from, STATE.STOP_COPY);
  } else {
    session = setState(on, make, from, STATE.STOP_COPY);
  }
  streams.push(read(session));
  const to = oneIn(on.dice, 2) ? from : openOne(on, make);
  const resuming = setState(on, make, to, STATE.RESUMING);
  for (const { handle, length } of on.handles.data) {
    if (streams.includes(handle)) make({ op: "write", fd: resuming, count: length, from: handle });
  }
  setState(on, make, to, pick(on.dice, [STATE.RUNNING, STATE.STOP, STATE.RUNNING_P2P, STATE.STOP_COPY]));
  make({ op: "pread", fd: to, count: 1, offset: 0 });
};

/** A device that is open, somewhere in the state machine. */
const wander: Motif = (on, make) => {
  const device = openOne(on, make);
  for (let i = 1 + on.dice.roll(3); i > 0; i--) setState(on, make, device, 1 + on.dice.roll(7));
};

export const MIGRATION_MOTIFS: readonly Motif[] = [migrate, migrate, wander];
/** A device whose picture is mapped, if it has one. */
const picture: Motif = (on, make) => {
  const device = openOne(on, make);
  make({ op: "mmap", fd: device, length: PAGE, prot: 3, offset: PAGE });
};

export const SAMPLE_MOTIFS: readonly Motif[] = [openOne, picture, interrupts, interrupts];
