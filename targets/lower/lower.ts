/**
 * Lowers programs to the agent's bytecode, and reads what comes back.
 *
 * The agent knows system calls and memory, nothing of VFIO; everything that a call means is resolved here. Handles become
 * slots, structs become bytes at addresses that are the same on every target, device names become paths that the agent
 * completes with the numbers that it finds when it gets there.
 */
import { AUXILIARY_DEVICES, queuePath, typePath } from "../../model/format/attribute-path.ts";
import { capabilityMask } from "../../model/kernel/credentials.ts";
import { blockAddress, isStruct } from "../../model/kernel/encode.ts";
import { findIoctl } from "../../model/kernel/ioctl.ts";
import { BLOCK_SIZE, MAX_BLOCKS, MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import type { RegisterStore } from "../../model/pci/hardware.ts";
import type {
  AccessWidth,
  Call,
  Capability,
  Node,
  Place,
  Probe,
  Program,
  StructArgument,
  Value,
  WriteBuffer,
} from "../../model/program.ts";
import { argumentText, busName, type Topology } from "../../model/topology.ts";
import { type Layout, writeValue } from "../../model/uapi/layout.ts";
import { POLL_ALL } from "../../model/uapi/poll.ts";
import type { Assembler, SyscallArgument } from "../agent/assembler.ts";
import { NO_SLOT, SLOT_COUNT, TASK_COUNT } from "../agent/layout.ts";
import { attributePath, devicePath, groupPrefix, KVM_DEBUGFS, MDEV_DEVICES } from "./paths.ts";
import { START_WAIT_NS, workLeft } from "./put-off.ts";
import {
  AT_FDCWD,
  EFD_NONBLOCK,
  F_ADD_SEALS,
  F_SEAL_WRITE,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_ALLOW_SEALING,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  PROT_WRITE,
  SYS,
} from "./syscalls.ts";

/** A program that no target can run, with the reason in one sentence. */
export class TooLarge extends Error {
  override readonly name = "TooLarge";
}

/** What the output of one call consists of, so that it can be read back. */
export type Shape =
  | { readonly kind: "plain" }
  /** a struct or a buffer of so many bytes follows the result, then what it points to */
  | { readonly kind: "struct"; readonly length: number; readonly pointed: readonly number[] }
  /** opened, then written: the open's errno or the write's result */
  | { readonly kind: "sysfs-write" }
  /** the signal, then what was loaded */
  | { readonly kind: "load"; readonly width: AccessWidth }
  /** the signal */
  | { readonly kind: "store" }
  /** opened and mapped, then stores, each of which may be waited for: the first that failed, by an errno or a signal */
  | { readonly kind: "stores"; readonly waited: readonly boolean[] }
  /** opened, then read into a buffer that follows */
  | { readonly kind: "sysfs-read" }
  | { readonly kind: "readlink" }
  | { readonly kind: "list" }
  | { readonly kind: "vms" }
  /** the result of waiting, then whether the task is not done yet */
  | { readonly kind: "started" }
  /** the result of waiting follows */
  | { readonly kind: "waited"; readonly of: Shape }
  /** a number in /proc/self/status, in KiB */
  | { readonly kind: "status"; readonly line: RegExp }
  | { readonly kind: "tainted" }
  /** waited, then read whether it says `suspended` */
  | { readonly kind: "asleep" }
  /** a struct pollfd follows, of which revents counts */
  | { readonly kind: "poll" }
  /** the results of so many calls that make the file what it is to be follow, unless it was refused */
  | { readonly kind: "memfd"; readonly steps: number }
  /** a path was completed with a number first: results of that come before */
  | { readonly kind: "found-group" };

/** A block in the program's memory, as far as it is mapped. */
interface Placed {
  readonly address: number;
  readonly length: number;
}

const NOWHERE: Placed = { address: 0, length: 0 };

const HARNESS = Number(MEMORY.scratch) + MEMORY.scratchSize / 2;
/** The harness's own memory, used anew by every call: one page for all but the longest text, since a page costs a fault. */
const PATH = HARNESS;
const TEXT = HARNESS + 1024;
/** For text that no block has room for. */
const LONG_TEXT = HARNESS + 0x10000;
/** Bytes read of a sysfs attribute or link. */
export const READ_SIZE = 512;
const VM_PIN = /^VmPin:\s*(\d+) kB/m;
const VM_LCK = /^VmLck:\s*(\d+) kB/m;

/** How long a function is given to fall asleep, as a struct timespec: 100 ms. The guest's clock jumps over it. */
const TIME_TO_SLEEP = timespec(100_000_000);

/** Bytes read of /proc/self/status. */
export const STATUS_SIZE = 2048;

/** Slots that the harness keeps for itself; handles take the others. */
const FD_SLOT = SLOT_COUNT - 1;
const NUMBER_SLOT = SLOT_COUNT - 2;
const MAX_HANDLES = SLOT_COUNT - 2;

/** Lowers calls one after the other into an assembler. */
export class Lowering {
  readonly #code: Assembler;
  readonly #topology: Topology;
  readonly #slots = new Map<string, number>();
  /** Tasks that were started, by their handles. */
  readonly #tasks = new Map<string, number>();
  /** Where reads put what programs name. */
  readonly #data = new Map<string, number>();
  readonly #scratch = new Uint8Array(BLOCK_SIZE);
  readonly #view = new DataView(this.#scratch.buffer);
  #blocks = 0;
  /** Which allocation of the call's own system call is to fail; 0 for none. */
  #failNth = 0;

  constructor(code: Assembler, topology: Topology) {
    this.#code = code;
    this.#topology = topology;
  }

  /** Lowers a whole program; gives the shape of each call's output. */
  program(program: Program): Shape[] {
    const shapes: Shape[] = [];
    const left = workLeft(program.calls);
    const starts = program.calls.filter(({ op }) => op === "start").length;
    if (starts > TASK_COUNT) throw new TooLarge(`A program starts at most ${TASK_COUNT} tasks; split it.`);
    if (starts > 0) this.#code.tasks(starts);
    for (const [index, call] of program.calls.entries()) {
      this.#code.mark(index);
      const shape = this.call(call);
      const wait = left.get(call);
      shapes.push(wait === undefined ? shape : this.#waited(shape, wait));
    }
    if (this.#blocks > MAX_BLOCKS) throw new TooLarge(`A program has at most ${MAX_BLOCKS} structs; split it.`);
    return shapes;
  }

  /** Lowers one call. Where it asks for a failure, whether that came about stands behind its other output. */
  call(call: Call): Shape {
    this.#failNth = call.failNth ?? 0;
    const shape = this.#call(call);
    if (call.failNth !== undefined) this.#code.fired();
    this.#failNth = 0;
    return shape;
  }

  /** Waits for what the call has left to others. */
  #waited(of: Shape, nanoseconds: number): Shape {
    this.#code.poke(TEXT, timespec(nanoseconds)).syscall(SYS.nanosleep, TEXT, 0);
    return { kind: "waited", of };
  }

  /** The system call that the program asks for, with the failure that it asks for; those around it are the harness's. */
  #syscall(number: number, ...args: readonly SyscallArgument[]): void {
    if (this.#failNth > 0) this.#code.failNth(this.#failNth);
    this.#code.syscall(number, ...args);
  }

  /** Keeps the result as a handle. One that an earlier call made keeps what it has where this one fails. */
  #keep(handle: string): void {
    const again = this.#slots.has(handle);
    const slot = this.#slot(handle);
    if (again) this.#code.unlessFailed((code) => code.keep(slot));
    else this.#code.keep(slot);
  }

  #call(call: Call): Shape {
    const code = this.#code;
    switch (call.op) {
      case "open": {
        const shape = this.#node(call.node);
        this.#syscall(SYS.openat, AT_FDCWD, PATH, call.flags ?? 2);
        this.#keep(call.as);
        return shape;
      }
      case "eventfd":
        this.#syscall(SYS.eventfd2, 0, EFD_NONBLOCK);
        this.#keep(call.as);
        return { kind: "plain" };
      case "memfd": {
        const file = { slot: this.#slot(call.as) };
        code
          .pokeText(TEXT, "memfd")
          .syscall(SYS.memfd_create, TEXT, call.sealed ? MFD_ALLOW_SEALING : 0)
          .keep(file.slot)
          .unlessFailed((made) => {
            made.syscall(SYS.ftruncate, file, call.size);
            if (call.sealed) made.syscall(SYS.fcntl, file, F_ADD_SEALS, F_SEAL_WRITE);
          });
        return { kind: "memfd", steps: call.sealed ? 2 : 1 };
      }
      case "close":
        this.#syscall(SYS.close, this.#value(call.fd));
        return { kind: "plain" };
      case "dup":
        this.#syscall(SYS.dup, this.#value(call.fd));
        this.#keep(call.as);
        return { kind: "plain" };
      case "ioctl":
        return this.#ioctl(call);
      case "read":
      case "pread":
        return this.#read(call);
      case "write":
      case "pwrite":
        return this.#write(call);
      case "lseek":
        this.#syscall(SYS.lseek, this.#value(call.fd), call.offset, call.whence);
        return { kind: "plain" };
      case "poll":
        code.poke(TEXT, pollfd(typeof call.fd === "string" ? -1 : call.fd));
        if (typeof call.fd === "string") code.pokeSlot(TEXT, 4, this.#slot(call.fd));
        code.syscall(SYS.poll, TEXT, 1, 0).peek(TEXT, POLLFD_SIZE);
        return { kind: "poll" };
      case "mmap":
        this.#mmap(call);
        return { kind: "plain" };
      case "munmap":
        this.#syscall(SYS.munmap, this.#value(call.at), call.length);
        return { kind: "plain" };
      case "load":
        code.touchRead(this.#place(call), call.width, this.#mappingSlot(call));
        return { kind: "load", width: call.width };
      case "store":
        code.touchWrite(this.#place(call), call.width, call.value, this.#mappingSlot(call));
        return { kind: "store" };
      case "sysfs-write": {
        return this.sysfsWrite(attributePath(this.#topology, call.attribute), this.#written(call));
      }
      case "start": {
        const text = this.#written(call);
        const task = this.#tasks.size;
        this.#tasks.set(call.as, task);
        code.pokeText(PATH, attributePath(this.#topology, call.attribute)).pokeText(TEXT, text);
        code.start(task, PATH, TEXT, text.length);
        code.poke(TEXT, timespec(START_WAIT_NS)).syscall(SYS.nanosleep, TEXT, 0).task(task);
        return { kind: "started" };
      }
      case "join": {
        const task = this.#tasks.get(call.task);
        if (task === undefined) throw new TooLarge(`Nothing has started ${call.task}.`);
        code.join(task);
        return { kind: "plain" };
      }
      case "sysfs-read":
        this.#readFile(attributePath(this.#topology, call.attribute), READ_SIZE);
        return { kind: "sysfs-read" };
      case "probe":
        return this.#probe(call.probe);
      case "capset":
        code.poke(TEXT, capabilitySets(call.without)).syscall(SYS.capset, TEXT, TEXT + CAPABILITY_HEADER);
        return { kind: "plain" };
      case "prlimit":
        code.poke(TEXT, limits(call.soft, call.hard)).syscall(SYS.prlimit64, 0, RLIMIT_MEMLOCK, TEXT, 0);
        return { kind: "plain" };
    }
  }

  /** What a call writes to an attribute. */
  #written({ text }: Call & { op: "sysfs-write" | "start" }): string {
    return "device" in text ? busName(this.#topology, text.device) : text.text;
  }

  #mmap({ fd, length, prot, offset, private: isPrivate, as }: Call & { op: "mmap" }): void {
    const flags = isPrivate ? MAP_PRIVATE : MAP_SHARED;
    this.#syscall(SYS.mmap, 0, length, prot, flags, this.#value(fd), this.#value(offset));
    if (as !== undefined) this.#keep(as);
  }

  /** Where memory is accessed: from a handle's address on, or at an address. */
  #place({ at, offset }: Call & { op: "load" | "store" }): number {
    return typeof at === "string" ? offset : Number(at) + offset;
  }

  #mappingSlot({ at }: Call & { op: "load" | "store" }): number {
    return typeof at === "string" ? this.#slot(at) : NO_SLOT;
  }

  /** Opens a file for writing and writes text to it. */
  sysfsWrite(path: string, text: string): Shape {
    this.#code
      .pokeText(PATH, path)
      .pokeText(TEXT, text)
      .syscall(SYS.openat, AT_FDCWD, PATH, O_WRONLY)
      .keep(FD_SLOT)
      .unlessFailed((code) => {
        this.#syscall(SYS.write, { slot: FD_SLOT }, TEXT, text.length);
        code.syscall(SYS.close, { slot: FD_SLOT });
      });
    return { kind: "sysfs-write" };
  }

  /** Writes bytes to a file, from an offset on. */
  writeFile(path: string, offset: number, bytes: Uint8Array): Shape {
    this.#code
      .pokeText(PATH, path)
      .poke(TEXT, bytes)
      .syscall(SYS.openat, AT_FDCWD, PATH, O_WRONLY)
      .keep(FD_SLOT)
      .unlessFailed((code) => {
        code.syscall(SYS.pwrite64, { slot: FD_SLOT }, TEXT, bytes.length, offset);
        code.syscall(SYS.close, { slot: FD_SLOT });
      });
    return { kind: "sysfs-write" };
  }

  /** Maps the first page of a file and stores to it. */
  storeToFile(path: string, stores: readonly RegisterStore[]): Shape {
    this.#code
      .pokeText(PATH, path)
      .syscall(SYS.openat, AT_FDCWD, PATH, O_RDWR)
      .keep(FD_SLOT)
      .unlessFailed((code) => {
        code.syscall(SYS.mmap, 0, PAGE, PROT_WRITE, MAP_SHARED, { slot: FD_SLOT }, 0).keep(NUMBER_SLOT);
        code.unlessFailed((mapped) => {
          for (const { at, width, value, busyNs } of stores) {
            mapped.touchWrite(at, width, value, NUMBER_SLOT);
            if (busyNs !== undefined) mapped.poke(TEXT, timespec(busyNs)).syscall(SYS.nanosleep, TEXT, 0);
          }
          mapped.syscall(SYS.munmap, { slot: NUMBER_SLOT }, PAGE);
        });
        code.syscall(SYS.close, { slot: FD_SLOT });
      });
    return { kind: "stores", waited: stores.map(({ busyNs }) => busyNs !== undefined) };
  }

  /** Lists a directory. */
  list(path: string): Shape {
    this.#code.pokeText(PATH, path).list(PATH);
    return { kind: "list" };
  }

  /** Opens a node and closes it again, to see whether it can be opened. */
  tryOpen(node: Node): Shape {
    const shape = this.#node(node);
    this.#code
      .syscall(SYS.openat, AT_FDCWD, PATH, 2)
      .keep(FD_SLOT)
      .unlessUnset(FD_SLOT, (code) => code.syscall(SYS.close, { slot: FD_SLOT }));
    return shape;
  }

  #readFile(path: string, size: number): void {
    this.#code
      .pokeText(PATH, path)
      .syscall(SYS.openat, AT_FDCWD, PATH, O_RDONLY)
      .keep(FD_SLOT)
      .unlessFailed((code) => {
        this.#syscall(SYS.read, { slot: FD_SLOT }, TEXT, size);
        code.peek(TEXT, size).syscall(SYS.close, { slot: FD_SLOT });
      });
  }

  #probe(probe: Probe): Shape {
    const code = this.#code;
    switch (probe.kind) {
      case "driver":
        return this.readLink(`${devicePath(this.#topology, probe.device)}/driver`);
      case "mdev-type":
        return this.readLink(`${devicePath(this.#topology, probe.device)}/mdev_type`);
      case "type-devices":
        return this.list(`${typePath(probe)}/devices`);
      case "group-node":
      case "cdev-node": {
        const shape = this.#node({ kind: probe.kind === "group-node" ? "group" : "cdev", device: probe.device });
        code.syscall(SYS.access, PATH, 0);
        return shape;
      }
      case "asleep":
        code.poke(TEXT, TIME_TO_SLEEP).syscall(SYS.nanosleep, TEXT, 0);
        this.#readFile(`${devicePath(this.#topology, probe.device)}/power/runtime_status`, READ_SIZE);
        return { kind: "asleep" };
      case "auxiliaries":
        return this.list(AUXILIARY_DEVICES);
      case "aux-driver":
        return this.readLink(`${AUXILIARY_DEVICES}/${probe.name}/driver`);
      case "mdevs":
        return this.list(MDEV_DEVICES);
      case "group-members":
        return this.list(`${devicePath(this.#topology, probe.device)}/iommu_group/devices`);
      case "vms":
        this.list(KVM_DEBUGFS);
        return { kind: "vms" };
      case "pinned":
      case "locked":
        this.#readFile("/proc/self/status", STATUS_SIZE);
        return { kind: "status", line: probe.kind === "pinned" ? VM_PIN : VM_LCK };
      case "tainted":
        this.#readFile("/proc/sys/kernel/tainted", READ_SIZE);
        return { kind: "tainted" };
    }
  }

  /** Reads the last part of where a link leads. */
  readLink(path: string): Shape {
    this.#code.pokeText(PATH, path).syscall(SYS.readlink, PATH, TEXT, READ_SIZE).peek(TEXT, READ_SIZE);
    return { kind: "readlink" };
  }

  /** Puts the path of a node at PATH. */
  #node(node: Node): Shape {
    const code = this.#code;
    switch (node.kind) {
      case "container":
        code.pokeText(PATH, "/dev/vfio/vfio");
        return { kind: "plain" };
      case "iommufd":
        code.pokeText(PATH, "/dev/iommu");
        return { kind: "plain" };
      case "kvm":
        code.pokeText(PATH, "/dev/kvm");
        return { kind: "plain" };
      case "wq":
        code.pokeText(PATH, queuePath(node.queue));
        return { kind: "plain" };
      case "group": {
        const prefix = groupPrefix(this.#topology, node.device);
        code
          .pokeText(PATH, `${devicePath(this.#topology, node.device)}/iommu_group`)
          .poke(TEXT, NO_TEXT)
          .syscall(SYS.readlink, PATH, TEXT, NO_TEXT.length - 1)
          .number(TEXT, NUMBER_SLOT)
          .pokeText(PATH, prefix)
          .pokeDecimal(PATH + prefix.length, NUMBER_SLOT);
        return { kind: "found-group" };
      }
      case "cdev": {
        const prefix = "/dev/vfio/devices/vfio";
        code
          .pokeText(PATH, `${devicePath(this.#topology, node.device)}/vfio-dev/vfio*`)
          .glob(PATH, NUMBER_SLOT)
          .pokeText(PATH, prefix)
          .pokeDecimal(PATH + prefix.length, NUMBER_SLOT);
        return { kind: "plain" };
      }
    }
  }

  #read(call: Call & { op: "read" | "pread" }): Shape {
    const { place, count } = call;
    const index = this.#blocks++;
    const address = blockAddress(index, place);
    if (typeof place === "number") this.#clear(index, place, count);
    if (call.into !== undefined) this.#data.set(call.into, address);
    if (call.op === "read") this.#syscall(SYS.read, this.#value(call.fd), address, count);
    else this.#syscall(SYS.pread64, this.#value(call.fd), address, count, this.#value(call.offset));
    const readable = writableAddress(index, place);
    const length = readable === null ? 0 : typeof place === "number" ? Math.min(place, count) : count;
    if (readable !== null && length > 0) this.#code.peek(readable, length);
    return { kind: "struct", length, pointed: [] };
  }

  #write(call: Call & { op: "write" | "pwrite" }): Shape {
    const { count } = call;
    const address = call.from === undefined ? this.#content(call) : this.#data.get(call.from);
    if (address === undefined) throw new TooLarge(`Nothing was read into ${call.from}.`);
    if (call.op === "write") this.#syscall(SYS.write, this.#value(call.fd), address, count);
    else this.#syscall(SYS.pwrite64, this.#value(call.fd), address, count, this.#value(call.offset));
    return { kind: "plain" };
  }

  /** Puts what is to be written in a block of its own. */
  #content({ count, place, bytes = [] }: WriteBuffer): number {
    const index = this.#blocks++;
    if (typeof place === "number") this.#clear(index, place, count);
    const readable = writableAddress(index, place);
    const length = Math.min(bytes.length, count, typeof place === "number" ? place : count);
    if (readable !== null && length > 0) this.#code.poke(readable, Uint8Array.from(bytes.slice(0, length)));
    return blockAddress(index, place);
  }

  /** What ends in front of the hole lies where others did before. */
  #clear(index: number, place: number, count: number): void {
    const length = Math.min(place, count);
    const address = writableAddress(index, place);
    if (address !== null && length > 0) this.#code.poke(address, new Uint8Array(length));
  }

  #ioctl(call: Call & { op: "ioctl" }): Shape {
    const ioctl = findIoctl(call.request);
    if (!ioctl) throw new TooLarge(`No ioctl is called ${call.request}.`);
    const code = this.#code;
    const { arg } = call;
    const index = this.#blocks++;
    let value: SyscallArgument;
    let blocks: Placed[] = [];
    switch (arg.kind) {
      case "value":
        value = this.#value(arg.value);
        break;
      case "name": {
        const text = argumentText(this.#topology, arg);
        if (text.length < BLOCK_SIZE) {
          value = blockAddress(index, arg.place);
          this.#pokeText(index, `${text}\0`, arg.place);
        } else {
          if (arg.place !== undefined) throw new TooLarge("A name that fills more than a block lies in plain memory.");
          value = LONG_TEXT;
          code.pokeText(LONG_TEXT, text);
        }
        break;
      }
      case "struct":
        if (ioctl.argument.kind !== "struct") throw new TooLarge(`${ioctl.name} takes no struct.`);
        value = blockAddress(index, arg.struct.place);
        blocks = this.#struct(index, ioctl.argument.layout, arg.struct);
        break;
    }
    this.#syscall(SYS.ioctl, this.#value(call.fd), ioctl.request, value);
    if (call.as !== undefined) this.#keep(call.as);
    if (arg.kind !== "struct") return { kind: "plain" };
    const [{ address, length } = NOWHERE, ...pointed] = blocks;
    if (call.binds && ioctl.argument.kind === "struct") {
      for (const field of ioctl.argument.layout.fields) {
        const handle = call.binds[field.name];
        if (handle === undefined) continue;
        if (field.offset + field.width <= length) code.load(this.#slot(handle), address + field.offset, field.width);
      }
    }
    for (const block of blocks) if (block.length > 0) code.peek(block.address, block.length);
    return { kind: "struct", length, pointed: pointed.map(({ length }) => length) };
  }

  #pokeText(index: number, text: string, place: Place | undefined): void {
    const address = writableAddress(index, place);
    if (address === null) return;
    const length = typeof place === "number" ? Math.min(place, text.length) : text.length;
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = text.charCodeAt(i);
    this.#code.poke(address, bytes);
  }

  /** Pokes a struct and what it points to, in the order in which the model lays blocks out; gives where they are. */
  #struct(index: number, layout: Layout, argument: StructArgument): Placed[] {
    const slots: { offset: number; width: 1 | 2 | 4 | 8; handle: string }[] = [];
    const nested: { layout: Layout; argument: StructArgument; index: number }[] = [];
    const bytes = this.#scratch;
    const view = this.#view;
    bytes.fill(0);
    const put = (offset: number, width: 1 | 2 | 4 | 8, value: Value): void => {
      if (typeof value === "string") slots.push({ offset, width, handle: value });
      else writeValue(view, offset, width, value);
    };
    for (const field of layout.fields) {
      const value = argument.fields[field.name];
      if (value === undefined || Array.isArray(value)) continue;
      if (!isStruct(value)) {
        if (typeof value !== "object") put(field.offset, field.width, value);
      } else if (field.meaning.kind === "pointer") {
        const at = this.#blocks++;
        nested.push({ layout: field.meaning.to, argument: value, index: at });
        writeValue(view, field.offset, field.width, blockAddress(at, value.place));
      }
    }
    let length = layout.size;
    const elements = layout.trailing && argument.fields[layout.trailing.name];
    if (layout.trailing && Array.isArray(elements)) {
      for (const element of elements) {
        put(length, layout.trailing.width, element);
        length += layout.trailing.width;
      }
    }
    if (argument.tail) for (const byte of argument.tail) bytes[length++] = byte;
    const { place } = argument;
    if (typeof place === "number") length = Math.min(length, place);
    const address = writableAddress(index, place);
    let here = NOWHERE;
    if (address !== null) {
      here = { address, length };
      if (length > 0) this.#code.poke(address, bytes.subarray(0, length));
      for (const { offset, width, handle } of slots) {
        if (offset + width <= length) this.#code.pokeSlot(address + offset, width, this.#slot(handle));
      }
    }
    return [here, ...nested.flatMap((inner) => this.#struct(inner.index, inner.layout, inner.argument))];
  }

  #value(value: Value): SyscallArgument {
    return typeof value === "string" ? { slot: this.#slot(value) } : value;
  }

  #slot(handle: string): number {
    let slot = this.#slots.get(handle);
    if (slot === undefined) {
      slot = this.#slots.size;
      if (slot >= MAX_HANDLES) throw new TooLarge(`A program has at most ${MAX_HANDLES} handles; split it.`);
      this.#slots.set(handle, slot);
    }
    return slot;
  }
}

/** Zeros to read a link into, so that what is left of an earlier one does not count. */
const NO_TEXT = new Uint8Array(256);

const RLIMIT_MEMLOCK = 8;

/** struct rlimit64 */
function limits(soft: number | bigint, hard: number | bigint): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  writeValue(view, 0, 8, soft);
  writeValue(view, 8, 8, hard);
  return bytes;
}

/** A struct timespec. */
function timespec(nanoseconds: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  writeValue(view, 0, 8, Math.floor(nanoseconds / 1e9));
  writeValue(view, 8, 8, nanoseconds % 1e9);
  return bytes;
}

/** Bytes of a struct pollfd. */
export const POLLFD_SIZE = 8;

/** A struct pollfd that asks for everything. */
function pollfd(fd: number | bigint): Uint8Array {
  const bytes = new Uint8Array(POLLFD_SIZE);
  const view = new DataView(bytes.buffer);
  writeValue(view, 0, 4, fd);
  writeValue(view, 4, 2, POLL_ALL);
  return bytes;
}

const CAPABILITY_VERSION_3 = 0x20080522;
const CAPABILITY_HEADER = 8;
const ALL = 0xffff_ffff;

/** struct __user_cap_header_struct for the caller, and two of struct __user_cap_data_struct: effective, permitted, inheritable. */
function capabilitySets(without: readonly Capability[]): Uint8Array {
  const words = [CAPABILITY_VERSION_3, 0, ALL & ~capabilityMask(without), ALL, 0, ALL, ALL, 0];
  return new Uint8Array(new Uint32Array(words).buffer);
}

/** Where the harness writes the block of that index; null where there is no memory. */
function writableAddress(index: number, place: Place | undefined): number | null {
  if (place === "null" || place === "unmapped") return null;
  return blockAddress(index, typeof place === "number" ? place : undefined);
}
