/**
 * The walk: makes a program call by call, each chosen by looking at the model's state after the one before.
 *
 * Every call is made on the model at once. Calls that would block for ever, or that the model has no answer for, are
 * thrown away, so that a program can be run to its end anywhere.
 */
import { handleKind } from "../../model/handles.ts";
import { IommufdFile } from "../../model/iommufd/file.ts";
import { Deadlock } from "../../model/kernel/lock.ts";
import { PAGE } from "../../model/kernel/memory-map.ts";
import { Blocked, Unmodelled } from "../../model/kernel/operation.ts";
import { type Answer, Machine, type MachineOptions } from "../../model/machine.ts";
import type { Call, FieldValue, StructArgument, Value } from "../../model/program.ts";
import { DeviceFile } from "../../model/vfio/device.ts";
import { REGION_SIZE } from "../../model/vfio/device-info.ts";
import { type Dice, pick, times } from "./dice.ts";
import { makeShort } from "./failures.ts";
import { Handles, isFileKind } from "./handles.ts";
import { MOTIFS } from "./motifs.ts";
import { type Focus, type MoveKind, makeCall, type Situation } from "./moves.ts";
import { makeElsewhere } from "./processes.ts";
import { detachesPasids, soundLength } from "./settle.ts";

/** Told of every call that a walk or a run makes, with what the model answered. */
export interface Observer {
  /** A fresh machine, before the first call. */
  began(machine: Machine): void;
  /** `machine` is in the state after the call; `answer` is only good until the next. */
  called(machine: Machine, call: Call, answer: Answer): void;
  /** The process has ended and all its files are closed. */
  ended(machine: Machine): void;
  /** The model could not go on: what became impossible, or the deadlock. */
  crashed(what: string): void;
}

/** Watches nothing. */
export const UNWATCHED: Observer = { began() {}, called() {}, ended() {}, crashed() {} };

/** Makes a program of at most `length` calls. */
export function walk(dice: Dice, focus: Focus, options: MachineOptions, length: number, observer: Observer): Call[] {
  const machine = new Machine(options);
  observer.began(machine);
  const handles = new Handles(machine);
  const on: Situation = { machine, handles, dice, focus };
  const calls: Call[] = [];

  // A close gives its descriptor up before anything else, so that one without an answer leaves a machine of no use.
  let useless = false;
  const makeOne = (call: Call): boolean => {
    if (useless) return false;
    let answer: Answer;
    try {
      answer = machine.step(call);
    } catch (thrown) {
      if (!(thrown instanceof Blocked || thrown instanceof Unmodelled)) throw thrown;
      useless = call.op === "close";
      return false;
    }
    calls.push(call);
    remember(on, call, answer);
    observer.called(machine, call, answer);
    return true;
  };
  const { failOneIn, byOneIn } = focus;
  const makeHere = byOneIn === undefined ? makeOne : (call: Call) => makeElsewhere(on, byOneIn, call, makeOne);
  const make =
    failOneIn === undefined
      ? makeHere
      : (call: Call) => makeShort(dice, failOneIn, call, makeHere, length - calls.length);

  if (focus.alwaysOpens || dice.roll(3) > 0) pick(dice, focus.motifs ?? MOTIFS)(on, make);
  const deck = kinds(focus);
  let misses = 0;
  while (!useless && calls.length < length && misses < Math.max(64, length)) {
    const call = makeCall(pick(dice, deck), on);
    if (!call || !make(call)) misses++;
  }
  const last = detachesPasids(calls);
  for (const call of last) makeOne(call);
  if (useless || !exits(machine)) {
    const whole = useless ? [...calls, ...last] : calls;
    return whole.slice(0, soundLength(whole, options));
  }
  observer.ended(machine);
  return calls;
}

/** Ends the process; whether the model knows what comes of that. */
function exits(machine: Machine): boolean {
  try {
    machine.exit();
    return true;
  } catch (thrown) {
    if (thrown instanceof Unmodelled) return false;
    throw thrown;
  }
}

/** A model with a fault in it may break its own assumptions, or deadlock, as a kernel would crash. */
function crashed(observer: Observer, thrown: unknown, made: number): number {
  if (!(thrown instanceof Deadlock || thrown instanceof Error)) throw thrown;
  observer.crashed(thrown instanceof Deadlock ? thrown.chain : thrown.message);
  return made;
}

/**
 * Runs calls that are there already. Ends before the first that would block, or that the model has no answer for,
 * and where the process can end; gives how many were made.
 */
export function rerun(calls: readonly Call[], options: MachineOptions, observer: Observer): number {
  const machine = new Machine(options);
  observer.began(machine);
  let made = 0;
  for (const call of calls) {
    let answer: Answer;
    try {
      answer = machine.step(call);
    } catch (thrown) {
      if (thrown instanceof Unmodelled && call.op === "close") return soundLength(calls.slice(0, made), options);
      if (thrown instanceof Blocked || thrown instanceof Unmodelled) break;
      return crashed(observer, thrown, made);
    }
    made++;
    observer.called(machine, call, answer);
  }
  try {
    if (!exits(machine)) return soundLength(calls.slice(0, made), options);
  } catch (thrown) {
    return crashed(observer, thrown, made);
  }
  observer.ended(machine);
  return made;
}

/** Notes the handles that a call brought. */
function remember({ handles, machine }: Situation, call: Call, answer: Answer): void {
  if (answer.ret < 0) return;
  if (call.op === "close") {
    if (typeof call.fd === "string") handles.close(call.fd);
    return;
  }
  if ((call.op === "read" || call.op === "pread") && call.into !== undefined) {
    if (answer.ret > 0) handles.data.push({ handle: call.into, length: answer.ret });
    return;
  }
  if (call.op === "mmap") {
    rememberMemory(handles, machine, call);
    return;
  }
  if (call.op === "munmap") {
    const at = handles.memory.findIndex(({ handle }) => handle === call.at);
    if (at >= 0) handles.memory.splice(at, 1);
    return;
  }
  if (call.op === "start") {
    handles.tasks.push(call.as);
    return;
  }
  if (call.op === "fork") {
    handles.processes.push(call.as);
    handles.forks++;
    return;
  }
  if (call.op === "exit") {
    const at = handles.processes.indexOf(call.process);
    if (at >= 0) handles.processes.splice(at, 1);
    return;
  }
  if ("as" in call && call.as !== undefined) handles.opened(call.as);
  if (call.op !== "ioctl" || !call.binds) return;
  const file = machine.fileOf(call.fd);
  const owner = file instanceof IommufdFile ? file.context : file instanceof DeviceFile ? file.iommufd : null;
  for (const field in call.binds) {
    const handle = call.binds[field];
    if (handle === undefined) continue;
    const kind = handleKind(handle);
    if (isFileKind(kind)) handles.opened(handle);
    else handles.name(handle, kind, owner);
    if (kind === "iova" && call.arg.kind === "struct") rememberMapping(handles, handle, call.arg.struct, owner);
  }
}

/** Notes memory of a function that was mapped. */
function rememberMemory(handles: Handles, machine: Machine, call: Call & { op: "mmap" }): void {
  const file = machine.fileOf(call.fd);
  if (call.as === undefined || !(file instanceof DeviceFile) || file.device.backing.kind !== "pci") return;
  const from = Number(machine.resolve(call.offset));
  handles.memory.push({
    handle: call.as,
    length: Math.ceil(call.length / PAGE) * PAGE,
    offset: from % REGION_SIZE,
    hardware: from < REGION_SIZE ? file.device.backing.function.hardware : null,
  });
}

/** Notes what a call mapped, where the struct says of what IOAS and how much. */
function rememberMapping(handles: Handles, iova: string, { fields }: StructArgument, owner: object | null): void {
  const ioas = fields["ioas_id"] ?? fields["dst_ioas_id"];
  const { length } = fields;
  if (isValue(ioas) && isValue(length)) handles.mappings.push({ iova, ioas, length, owner });
}

const isValue = (value: FieldValue | undefined): value is Value => value !== undefined && typeof value !== "object";

const decks = new WeakMap<Focus, readonly MoveKind[]>();

/** The kinds of call, each as often as its weight says. */
function kinds(focus: Focus): readonly MoveKind[] {
  let deck = decks.get(focus);
  if (!deck) {
    deck = (Object.entries(focus.weights) as [MoveKind, number][]).flatMap(([kind, weight]) => times(weight, kind));
    decks.set(focus, deck);
  }
  return deck;
}
