/** Single calls: given the state of the model, one that mostly makes sense now. */
// Whatever is imported first: every ioctl is known before they are listed here.
import { PAGE } from "../../model/kernel/memory-map.ts";
import "../../model/machine.ts";
import { IommufdFile } from "../../model/iommufd/file.ts";
import type { File } from "../../model/kernel/file.ts";
import { allIoctls, type Ioctl } from "../../model/kernel/ioctl.ts";
import type { Machine } from "../../model/machine.ts";
import type { Call, Capability, IoctlArgument, Node, Probe } from "../../model/program.ts";
import type { Meaning } from "../../model/uapi/layout.ts";
import { versionNumber } from "../../model/uapi/version.ts";
import { DeviceFile } from "../../model/vfio/device.ts";
import { rightStruct, spoil } from "./arguments.ts";
import { auxiliaryCall } from "./auxiliary.ts";
import { dmaBufFields } from "./buffer-arguments.ts";
import { deviceName } from "./device-names.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import { ownMemory } from "./dma-moves.ts";
import { driverIdCall } from "./driver-ids.ts";
import { fileFields } from "./file-arguments.ts";
import { type Handles, kindBits } from "./handles.ts";
import { queueCall } from "./idxd-queues.ts";
import { ioeventfdFields } from "./ioeventfd-arguments.ts";
import { irqFields } from "./irq-arguments.ts";
import { vmIrqFields } from "./irqfd-arguments.ts";
import { leavingCall } from "./leaving.ts";
import { mdevCall } from "./mdevs.ts";
import { mockFields } from "./mock-arguments.ts";
import type { Motif } from "./motifs.ts";
import { tableFields } from "./table-arguments.ts";
import { tokenFields } from "./tokens.ts";
import { transfer } from "./transfers.ts";

/** What a generator is asked to dwell on: devices, and how often each kind of call comes. */
export interface Focus {
  /** Names of devices that programs use, functions and mdevs. */
  readonly devices: readonly string[];
  /** Relative weights of the kinds of call. */
  readonly weights: Readonly<Record<MoveKind, number>>;
  /** Ioctls to leave out or to take more often than their own weight says. */
  readonly ioctls?: Readonly<Record<string, number>>;
  /** The weight of all other ioctls, in place of their own. */
  readonly otherIoctls?: number;
  /** Whether VMs are made; making one is slow. */
  readonly kvm: boolean;
  /** Whether memory in files is mapped. */
  readonly memfds?: boolean;
  /** Whether a device copies memory by itself, which programs look at. */
  readonly copies?: boolean;
  /** How programs mostly begin; as those of any user unless told. */
  readonly motifs?: readonly Motif[];
  /** Whether every program begins so; else two of three do. */
  readonly alwaysOpens?: boolean;
  /** One call in so many is wrong on purpose. */
  readonly wrongOneIn: number;
  /** One call in so many runs out of memory before it is made; none unless told. */
  readonly failOneIn?: number;
  /** One call in so many is made by another process; none unless told. */
  readonly byOneIn?: number;
}

export type MoveKind =
  | "open"
  | "ioctl"
  | "close"
  | "dup"
  | "io"
  | "mdev"
  | "binding"
  | "driver-ids"
  | "auxiliary"
  | "leaving"
  | "probe"
  | "credentials";

/** By name: which module is loaded first, and registers its own first, must not change the programs of a seed. */
const IOCTLS = [...allIoctls()].sort((one, other) => (one.name < other.name ? -1 : 1));

/** Everything that making a call needs to know. */
export interface Situation {
  readonly machine: Machine;
  readonly handles: Handles;
  readonly dice: Dice;
  readonly focus: Focus;
}

/** A call of that kind, or undefined when there is none to make now. */
export function makeCall(kind: MoveKind, on: Situation): Call | undefined {
  switch (kind) {
    case "open":
      return open(on);
    case "ioctl":
      return ioctl(on);
    case "close":
      return close(on);
    case "dup":
      return dup(on);
    case "io":
      return on.focus.copies && oneIn(on.dice, 3) ? ownMemory(on.dice) : transfer(on.dice, on.handles);
    case "mdev":
      return mdevCall(on);
    case "binding":
      return binding(on);
    case "driver-ids":
      return driverIdCall(on);
    case "auxiliary":
      return auxiliaryCall(on);
    case "leaving":
      return leavingCall(on);
    case "probe":
      return { op: "probe", probe: probe(on) };
    case "credentials":
      return credentials(on.dice);
  }
}

function open(on: Situation): Call {
  const { dice, focus, handles, machine } = on;
  if (oneIn(dice, 12)) return { op: "eventfd", as: handles.fresh("eventfd") };
  if (focus.memfds && oneIn(dice, 3)) return memfd(on);
  const node = pickNode(dice, focus, machine);
  const as = handles.fresh(fileKind(node));
  return oneIn(dice, 16) ? { op: "open", node, as, flags: dice.roll(2) } : { op: "open", node, as };
}

/** Sizes of files in bytes: as much as is mapped at most, a page, a page and a bit, nothing. */
const MEMFD_BYTES = [64 * PAGE, 64 * PAGE, 8 * PAGE, PAGE, PAGE + 1, 0];

export function memfd({ dice, handles, machine }: Situation): Call {
  const size = pick(dice, MEMFD_BYTES);
  // Sealed for those who map files.
  const sealed = machine.k.since("6.13") && oneIn(dice, 8);
  return { op: "memfd", size, ...(sealed ? { sealed } : {}), as: handles.fresh("memfd") };
}

function pickNode(dice: Dice, { devices, kvm }: Focus, { k }: Machine): Node {
  if (k.accelerator && oneIn(dice, 6)) return { kind: "wq", queue: pick(dice, k.accelerator.queues).spec.name };
  const device = pick(dice, devices);
  switch (dice.roll(8)) {
    case 0:
      return { kind: "container" };
    case 1:
      return { kind: k.has("IOMMUFD") ? "iommufd" : "container" };
    case 2:
      return { kind: kvm && k.topology.kvm ? "kvm" : "container" };
    case 3:
    case 4:
      return { kind: "group", device };
    default:
      return { kind: k.has("VFIO_DEVICE_CDEV") ? "cdev" : "group", device };
  }
}

/** What a handle for a node's file is called. */
export function fileKind(node: Node): string {
  return node.kind === "cdev" ? "device" : node.kind;
}

function ioctl(on: Situation): Call | undefined {
  const { dice, handles, machine } = on;
  const wrong = oneIn(dice, on.focus.wrongOneIn);
  if (handles.files.length === 0) return undefined;
  if (wrong && oneIn(dice, 6)) return strayIoctl(on);
  // Some throws to find one that is useful now; the last is taken as it comes.
  for (let tries = 0; tries < 6; tries++) {
    const choice = pickIoctl(on);
    if (!choice) return undefined;
    const { command } = choice;
    const target = handles.ofKind(dice, choice.kinds);
    if (!target) continue;
    if (tries < 5 && command.useful && !wrong && !command.useful(machine.k, target.file) && !oneIn(dice, 8)) continue;
    return ioctlCall(on, command, target, wrong);
  }
  return undefined;
}

/** Any command on any file, or on a descriptor that is none. */
function strayIoctl(on: Situation): Call | undefined {
  const { dice, handles } = on;
  const command = pick(dice, IOCTLS);
  const stray = dice.roll(4);
  if (stray === 0 || handles.files.length === 0) {
    const fd = handles.closed.length > 0 && oneIn(dice, 2) ? pick(dice, handles.closed) : pick(dice, [-1, 900]);
    return { op: "ioctl", fd, request: command.name, arg: argument(on, command, null, false) };
  }
  return ioctlCall(on, command, pick(dice, handles.files), false);
}

/** An ioctl that a generator may take, with what it need not ask the definition for each time. */
interface Choice {
  readonly command: Ioctl;
  /** The kinds of file that answer it, as bits. */
  readonly kinds: number;
}

/** For a focus, by kernel version, by the kinds of file that are open: the ioctls to pick from, each as often as it weighs. */
const decks = new WeakMap<Focus, Map<number, Map<number, readonly Choice[]>>>();

function deckFor(focus: Focus, version: number, open: number): readonly Choice[] {
  let byVersion = decks.get(focus);
  if (!byVersion) {
    byVersion = new Map();
    decks.set(focus, byVersion);
  }
  let byKinds = byVersion.get(version);
  if (!byKinds) {
    byKinds = new Map();
    byVersion.set(version, byKinds);
  }
  let deck = byKinds.get(open);
  if (!deck) {
    deck = dealt(focus, version, open);
    byKinds.set(open, deck);
  }
  return deck;
}

/** Weights are counted in sixteenths. */
function dealt(focus: Focus, version: number, open: number): Choice[] {
  const deck: Choice[] = [];
  for (const command of IOCTLS) {
    const kinds = kindBits(command.on);
    if ((kinds & open) === 0 || (command.since && version < versionNumber(command.since))) continue;
    const weight = Math.round(16 * (focus.ioctls?.[command.name] ?? focus.otherIoctls ?? command.weight ?? 1));
    const choice = { command, kinds };
    for (let i = 0; i < weight; i++) deck.push(choice);
  }
  return deck;
}

/** An ioctl that some open file answers. */
function pickIoctl({ dice, handles, machine, focus }: Situation): Choice | undefined {
  const deck = deckFor(focus, machine.k.version, handles.kinds);
  return deck.length === 0 ? undefined : pick(dice, deck);
}

/** An ioctl on a file, with handles for what it may bring. */
export function ioctlCall(
  on: Situation,
  command: Ioctl,
  target: { readonly handle: string; readonly file: File },
  wrong: boolean,
): Call {
  const arg = argument(on, command, target.file, wrong);
  const fd = target.handle;
  const request = command.name;
  if (command.returns) return { op: "ioctl", fd, request, arg, as: on.handles.fresh(command.returns) };
  const binds = bindings(command, on.handles);
  return binds ? { op: "ioctl", fd, request, arg, binds } : { op: "ioctl", fd, request, arg };
}

/** Fields of an ioctl's struct that bring something, and the kind of handle that names it. */
const bringing = new Map<Ioctl, readonly (readonly [field: string, kind: string])[]>(
  IOCTLS.map((command) => [
    command,
    command.argument.kind !== "struct"
      ? []
      : command.argument.layout.fields.flatMap(({ name, meaning }) => {
          const kind = boundKind(command, name, meaning);
          return kind ? [[name, kind] as const] : [];
        }),
  ]),
);

/** Handles for the ids and addresses that the struct's fields bring back. */
function bindings(command: Ioctl, handles: Handles): Record<string, string> | undefined {
  const fields = bringing.get(command);
  if (!fields || fields.length === 0) return undefined;
  const binds: Record<string, string> = {};
  for (const [field, kind] of fields) binds[field] = handles.fresh(kind);
  return binds;
}

function boundKind(command: Ioctl, name: string, meaning: Meaning): string | undefined {
  if (meaning.kind === "out") return meaning.handle;
  if (meaning.kind === "iova" && meaning.placed) return "iova";
  // Where a page table is made, pt_id is what it is made from, and stays so.
  if (name === "pt_id" && command.name !== "IOMMU_HWPT_ALLOC") return "hwpt";
  return undefined;
}

function argument(on: Situation, command: Ioctl, file: File | null, wrong: boolean): IoctlArgument {
  const { dice, handles } = on;
  const shape = command.argument;
  switch (shape.kind) {
    case "struct": {
      const usual = rightStruct(dice, shape.layout, handles, contextOf(file));
      const suggested =
        mockFields(on, command.name, file) ??
        tableFields(on, command.name, file) ??
        irqFields(on, command.name, file) ??
        ioeventfdFields(on, command.name, file) ??
        dmaBufFields(on, command.name, file) ??
        fileFields(on, command.name) ??
        vmIrqFields(on, command.name, file) ??
        tokenFields(on, command.name, file);
      const right = suggested ? { fields: { ...usual.fields, ...suggested } } : usual;
      return { kind: "struct", struct: wrong ? spoil(dice, shape.layout, right, handles) : right };
    }
    case "value":
      return { kind: "value", value: wrong || oneIn(dice, 4) ? pick(dice, shape.values) : (shape.values[0] ?? 0) };
    case "none":
      return { kind: "value", value: wrong ? dice.roll(4096) : 0 };
    case "name":
      return deviceName(on, file, wrong);
  }
}

/** The iommufd whose ids a call on this file is about. */
function contextOf(file: File | null): object | null {
  if (file instanceof IommufdFile) return file.context;
  if (file instanceof DeviceFile) return file.iommufd;
  return null;
}

function close({ dice, handles }: Situation): Call | undefined {
  if (oneIn(dice, 24)) return { op: "close", fd: handles.closed.length > 0 ? pick(dice, handles.closed) : -1 };
  if (handles.files.length === 0) return undefined;
  return { op: "close", fd: pick(dice, handles.files).handle };
}

function dup({ dice, handles }: Situation): Call | undefined {
  if (handles.files.length === 0) return undefined;
  const { handle, file } = pick(dice, handles.files);
  return { op: "dup", fd: handle, as: handles.fresh(file.kind) };
}

function binding(on: Situation): Call | undefined {
  const { dice, focus, machine } = on;
  if (machine.k.accelerator) return queueCall(on);
  const functions = machine.k.functions.filter((candidate) => focus.devices.includes(candidate.spec.name));
  if (functions.length === 0) return undefined;
  const pciFunction = pick(dice, functions);
  const device = pciFunction.spec.name;
  if (pciFunction.spec.totalVfs > 0 && !oneIn(dice, 4)) return numberOfVfs(dice, device);
  const drivers = ["vfio-pci", "pci-stub"];
  switch (dice.roll(6)) {
    case 0:
      return { op: "sysfs-read", attribute: { kind: "driver_override", device } };
    case 1: {
      const text = pick(dice, ["vfio-pci", "pci-stub", "\n", "", "nonesuch", "vfio-pci\n"]);
      return { op: "sysfs-write", attribute: { kind: "driver_override", device }, text: { text } };
    }
    case 2:
    case 3: {
      const driver = oneIn(dice, 6) ? pick(dice, drivers) : (pciFunction.driver?.name ?? pick(dice, drivers));
      return { op: "sysfs-write", attribute: { kind: "unbind", driver }, text: { device } };
    }
    default: {
      const driver = oneIn(dice, 3) ? pick(dice, drivers) : (pciFunction.driverOverride ?? pick(dice, drivers));
      if (!drivers.includes(driver)) return undefined;
      return { op: "sysfs-write", attribute: { kind: "bind", driver }, text: { device } };
    }
  }
}

/** Mostly what makes or ends virtual functions. */
function numberOfVfs(dice: Dice, device: string): Call {
  const file = oneIn(dice, 12) ? "sriov_totalvfs" : "sriov_numvfs";
  const attribute = { kind: "sriov", device, file } as const;
  if (oneIn(dice, 4)) return { op: "sysfs-read", attribute };
  const text = pick(dice, ["0", "0\n", "1", "2", "2\n", "0x2", "3", "65536", "-1", "two", ""]);
  return { op: "sysfs-write", attribute, text: { text } };
}

function probe({ dice, focus, machine }: Situation): Probe {
  const device = pick(dice, focus.devices);
  const isFunction = machine.k.functions.some(({ spec }) => spec.name === device);
  if (isFunction && oneIn(dice, 3)) return { kind: "asleep", device };
  return pick<Probe>(dice, [
    { kind: "driver", device },
    { kind: "group-node", device },
    { kind: "cdev-node", device },
    { kind: "group-members", device },
    { kind: "mdevs" },
    { kind: "vms" },
    { kind: "pinned" },
    { kind: "locked" },
  ]);
}

/** What the caller may do: mostly about memory that it locks. */
export function credentials(dice: Dice): Call {
  switch (dice.roll(5)) {
    case 0:
    case 1:
      return { op: "capset", without: ["CAP_IPC_LOCK"] };
    case 2: {
      const without = CAPABILITY_NAMES.filter(() => oneIn(dice, 2));
      return { op: "capset", without };
    }
    default: {
      const soft = pick(dice, MEMLOCK_BYTES);
      const hard = oneIn(dice, 4) ? pick(dice, MEMLOCK_BYTES) : INFINITE;
      return { op: "prlimit", resource: "RLIMIT_MEMLOCK", soft, hard };
    }
  }
}

const CAPABILITY_NAMES: readonly Capability[] = ["CAP_IPC_LOCK", "CAP_SYS_RAWIO", "CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"];
const INFINITE = (1n << 64n) - 1n;
/** Limits around what programs map: some pages, one byte short of a page, none, any number. */
const MEMLOCK_BYTES = [4 * PAGE, PAGE, 2 * PAGE, 16 * PAGE, 17 * PAGE - 1, 40 * PAGE, 8 << 20, 0, INFINITE] as const;
