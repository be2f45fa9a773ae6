/** Calls about mediated devices: made, removed, unbound and looked at, mostly in a way that makes sense now. */
import type { Attribute, Call } from "../../model/program.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import type { Make } from "./motif-calls.ts";
import type { Situation } from "./moves.ts";

type Type = readonly [parent: string, type: string];

/** The large displays are seldom made: the kernel clears a framebuffer for each. */
const TYPES: readonly Type[] = [
  ["mtty", "mtty-1"],
  ["mtty", "mtty-1"],
  ["mtty", "mtty-1"],
  ["mtty", "mtty-2"],
  ["mtty", "mtty-2"],
  ["mdpy", "mdpy-vga"],
  ["mdpy", "mdpy-vga"],
  ["mdpy", "mdpy-xga"],
  ["mdpy", "mdpy-hd"],
];

/** On a machine with an accelerator. */
const QUEUE_TYPES: readonly Type[] = [
  ["idxd", "idxd-dsa-1dwq-v1"],
  ["idxd", "idxd-dsa-1swq-v1"],
];

/** Directories of types that are not there. */
const NO_TYPES: readonly Type[] = [
  ["mtty", "mtty-3"],
  ["mtty", "mdpy-vga"],
  ["nonesuch", "mtty-1"],
];

/** UUIDs that the topology has no names for, to use a parent up with. */
const CROWD = Array.from(
  { length: 13 },
  (_, n) => `0d0e0a0d-0000-4000-8000-0000000000${n.toString(16).padStart(2, "0")}`,
);

const VENDOR_FILES = ["sample_mdev_dev", "sample_mdev_dev", "resolution"] as const;

/** Text that is about a UUID: some forms of it the kernel takes, others it does not. */
const FORMS: readonly ((uuid: string) => string)[] = [
  (uuid) => `${uuid}\n`,
  (uuid) => uuid.toUpperCase(),
  (uuid) => `${uuid}x`,
  (uuid) => `${uuid}\n\n`,
  (uuid) => ` ${uuid}`,
  (uuid) => `{${uuid}}`,
  (uuid) => uuid.replaceAll("-", ""),
  (uuid) => uuid.slice(0, -1),
  (uuid) => `${uuid.slice(0, -1)}g`,
  (uuid) => uuid.replace("-", "x"),
  () => "00000000-0000-0000-0000-000000000000",
  () => "not-a-uuid",
  () => "",
];

const REMOVE_TEXTS = ["0", "2", "x", "-1", "", "\n", "1\n", "0x1", "010", "+1", " 1", "00", "18446744073709551616"];

/** One call about mediated devices. */
export function mdevCall(on: Situation): Call | undefined {
  const { dice, machine } = on;
  const device = someMdev(on);
  if (device === undefined) return undefined;
  const [parent, type] = oneIn(dice, 64)
    ? pick(dice, NO_TYPES)
    : pick(dice, machine.k.accelerator ? QUEUE_TYPES : TYPES);
  if (oneIn(dice, 6)) return look(dice, device, parent, type);
  if (oneIn(dice, 12)) return busCall(on, device);
  const present = machine.k.mdevs.some((entry) => entry.name === device);
  const wrong = oneIn(dice, 8);
  if (present !== wrong) {
    const text = oneIn(dice, 8) ? pick(dice, REMOVE_TEXTS) : "1";
    return { op: "sysfs-write", attribute: { kind: "mdev-remove", device }, text: { text } };
  }
  const attribute: Attribute = { kind: "mdev-create", parent, type };
  if (!oneIn(dice, 8)) return { op: "sysfs-write", attribute, text: { device } };
  return { op: "sysfs-write", attribute, text: { text: pick(dice, FORMS)(uuidOf(on, device)) } };
}

/** A mediated device, there or not. Standing ones seldom: to make them again costs more than the rest of a program. */
function someMdev({ dice, machine }: Situation): string | undefined {
  const { mdevs, topology } = machine.k;
  // Those that no name of the topology stands for are there to be removed again.
  const unnamed = mdevs.filter((mdev) => mdev.name === mdev.uuid);
  if (unnamed.length > 0 && oneIn(dice, 3)) return pick(dice, unnamed).name;
  const standing = oneIn(dice, 12);
  const names = topology.mdevs.filter((entry) => (entry.standing !== null) === standing);
  return names.length > 0 ? pick(dice, names).name : undefined;
}

function uuidOf({ machine }: Situation, device: string): string {
  return machine.k.topology.mdevs.find(({ name }) => name === device)?.uuid ?? device;
}

/** Reads of what there is to read, and now and then of what is not. */
function look(dice: Dice, device: string, parent: string, type: string): Call {
  switch (dice.roll(9)) {
    case 0:
    case 1:
      return { op: "sysfs-read", attribute: { kind: "available_instances", parent, type } };
    case 7:
      return { op: "sysfs-read", attribute: { kind: "mdev-vendor", device, file: pick(dice, VENDOR_FILES) } };
    case 2: {
      const file = pick(dice, ["name", "description", "device_api"] as const);
      return { op: "sysfs-read", attribute: { kind: "mdev-type", parent, type, file } };
    }
    case 3:
      return { op: "probe", probe: { kind: "type-devices", parent, type } };
    case 4:
      return { op: "probe", probe: { kind: "mdev-type", device } };
    case 5:
      return { op: "probe", probe: { kind: "driver", device } };
    case 6:
      return { op: "probe", probe: { kind: "mdevs" } };
    default:
      return askedTheWrongWay(dice, device, parent, type);
  }
}

/** Reads of what can only be written, and the other way round. */
function askedTheWrongWay(dice: Dice, device: string, parent: string, type: string): Call {
  switch (dice.roll(4)) {
    case 0:
      return { op: "sysfs-read", attribute: { kind: "mdev-create", parent, type } };
    case 1:
      return { op: "sysfs-read", attribute: { kind: "mdev-remove", device } };
    case 2: {
      const file = pick(dice, ["name", "description", "device_api"] as const);
      return { op: "sysfs-write", attribute: { kind: "mdev-type", parent, type, file }, text: { text: "1" } };
    }
    default:
      return { op: "sysfs-write", attribute: { kind: "available_instances", parent, type }, text: { text: "1" } };
  }
}

/** Drivers and the bus: unbinding works, binding never does. */
function busCall(on: Situation, device: string): Call {
  const { dice, machine } = on;
  const own = machine.k.mdevs.find((mdev) => mdev.name === device)?.driver;
  const driver = own && !oneIn(dice, 6) ? own : pick(dice, ["mtty", "mdpy", "mtty", "nonesuch"]);
  const uuid = uuidOf(on, device);
  const text = oneIn(dice, 6) ? { text: pick(dice, [`${uuid}\n`, uuid.toUpperCase(), "", "nonesuch"]) } : { device };
  switch (dice.roll(8)) {
    case 0:
      return { op: "sysfs-write", attribute: { kind: "mdev-bus", file: "drivers_probe" }, text };
    case 1:
      return oneIn(dice, 2)
        ? { op: "sysfs-read", attribute: { kind: "mdev-bus", file: "drivers_autoprobe" } }
        : autoprobe(dice);
    case 2:
    case 3:
      return { op: "sysfs-write", attribute: { kind: "mdev-driver", driver, file: "bind" }, text };
    default:
      return { op: "sysfs-write", attribute: { kind: "mdev-driver", driver, file: "unbind" }, text };
  }
}

function autoprobe(dice: Dice): Call {
  const text = pick(dice, ["0", "1", "00", "x", ""]);
  return { op: "sysfs-write", attribute: { kind: "mdev-bus", file: "drivers_autoprobe" }, text: { text } };
}

/** Makes a device, takes its driver from it, and tries to give it back. */
export function orphan({ dice, machine }: Situation, make: Make): void {
  const names = machine.k.topology.mdevs.filter(({ standing }) => standing === null);
  const parents = machine.k.mdevParents;
  if (names.length === 0 || parents.length === 0) return;
  const device = pick(dice, names).name;
  const { driver, name: parent } = pick(dice, parents);
  const type = pick(dice, driver.types.slice(0, 2)).name;
  make({ op: "sysfs-write", attribute: { kind: "mdev-create", parent, type }, text: { device } });
  for (const file of ["unbind", "bind"] as const) {
    make({ op: "sysfs-write", attribute: { kind: "mdev-driver", driver: driver.name, file }, text: { device } });
  }
  make({ op: "sysfs-write", attribute: { kind: "mdev-bus", file: "drivers_probe" }, text: { device } });
}

/** Makes devices of one type, one after the other, until its parent has no room. */
export function crowd({ dice, machine }: Situation, make: Make): void {
  const parents = machine.k.mdevParents;
  if (parents.length === 0) return;
  const { driver, name: parent } = pick(dice, parents);
  // The largest of a driver that counts, since that fills soonest; the smallest of one whose devices all count alike.
  const type = driver.countedBy === "driver" ? driver.types[driver.types.length - 1] : driver.types[0];
  if (!type) return;
  const attribute: Attribute = { kind: "mdev-create", parent, type: type.name };
  for (const device of CROWD) {
    if (!make({ op: "sysfs-write", attribute, text: { device } })) return;
    if (machine.answer.ret < 0) return;
  }
}
