/**
 * Lowers programs to the agent's bytecode, and reads what comes back.
 *
 * The agent knows system calls and memory, nothing of VFIO; everything that a call means is resolved here. Handles become
 * slots, structs become bytes at addresses that are the same on every target, device names become paths that the agent
 * completes with the numbers that it finds when it gets there.
 */
import { blockAddress } from "../../model/kernel/encode.ts";
import { findIoctl } from "../../model/kernel/ioctl.ts";
import { BLOCK_SIZE, MAX_BLOCKS } from "../../model/kernel/memory-map.ts";
import type { Call, Program } from "../../model/program.ts";
import { argumentText, busName, type Topology } from "../../model/topology.ts";
import type { Assembler, SyscallArgument } from "../agent/assembler.ts";
import { NO_SLOT, PROCESS_COUNT, TASK_COUNT } from "../agent/layout.ts";
import { Blocks, NOWHERE, type Placed, writableAddress } from "./blocks.ts";
import { FileLowering, LONG_TEXT, PATH, TEXT } from "./files.ts";
import { CAPABILITY_HEADER, capabilitySets, limits, POLLFD_SIZE, pollfd, timespec } from "./images.ts";
import { attributePath } from "./paths.ts";
import { START_WAIT_NS, workLeft } from "./put-off.ts";
import { READ_SIZE, type Shape, TooLarge } from "./shape.ts";
import { Slots } from "./slots.ts";
import {
  AT_FDCWD,
  EFD_NONBLOCK,
  F_ADD_SEALS,
  F_SEAL_WRITE,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_ALLOW_SEALING,
  SYS,
} from "./syscalls.ts";

const RLIMIT_MEMLOCK = 8;

/** Lowers calls one after the other into an assembler. */
export class Lowering extends FileLowering {
  readonly #slots = new Slots();
  readonly #blocks: Blocks;
  /** Tasks that were started, by their handles. */
  readonly #tasks = new Map<string, number>();
  /** Processes that were made, by their handles, and those of them that have not ended. */
  readonly #processes = new Map<string, number>();
  #forks = 0;
  /** Where reads put what programs name. */
  readonly #data = new Map<string, number>();

  constructor(code: Assembler, topology: Topology) {
    super(code, topology);
    this.#blocks = new Blocks(code, this.#slots);
  }

  /** Lowers a whole program; gives the shape of each call's output. */
  program(program: Program): Shape[] {
    const shapes: Shape[] = [];
    const left = workLeft(program.calls);
    const starts = program.calls.filter(({ op }) => op === "start").length;
    if (starts > TASK_COUNT) throw new TooLarge(`A program starts at most ${TASK_COUNT} tasks; split it.`);
    if (starts > 0) this.code.tasks(starts);
    for (const [index, call] of program.calls.entries()) {
      this.code.mark(index);
      const shape = this.call(call);
      const wait = left.get(call);
      shapes.push(wait === undefined ? shape : this.#waited(shape, wait));
    }
    if (this.#blocks.count > MAX_BLOCKS) throw new TooLarge(`A program has at most ${MAX_BLOCKS} structs; split it.`);
    return shapes;
  }

  /** Lowers one call. Where it asks for a failure, whether that came about stands behind its other output. */
  call(call: Call): Shape {
    this.failNth = call.failNth ?? 0;
    const process = call.by === undefined ? undefined : this.#processes.get(call.by);
    const shape = process === undefined ? this.#call(call) : this.#by(process, call);
    if (call.failNth !== undefined) this.code.fired();
    this.failNth = 0;
    return shape;
  }

  #by(process: number, call: Call): Shape {
    let shape: Shape | undefined;
    this.code.by(process, () => {
      shape = this.#call(call);
    });
    if (!shape) throw new Error("the call was not lowered");
    return shape;
  }

  /** Waits for what the call has left to others. */
  #waited(of: Shape, nanoseconds: number): Shape {
    this.code.poke(TEXT, timespec(nanoseconds)).syscall(SYS.nanosleep, TEXT, 0);
    return { kind: "waited", of };
  }

  /** Keeps the result as a handle. One that an earlier call made keeps what it has where this one fails. */
  #keep(handle: string): void {
    const again = this.#slots.has(handle);
    const slot = this.#slots.of(handle);
    if (again) this.code.unlessFailed((code) => code.keep(slot));
    else this.code.keep(slot);
  }

  #call(call: Call): Shape {
    const code = this.code;
    switch (call.op) {
      case "open": {
        const shape = this.node(call.node);
        this.syscall(SYS.openat, AT_FDCWD, PATH, call.flags ?? 2);
        this.#keep(call.as);
        return shape;
      }
      case "eventfd":
        this.syscall(SYS.eventfd2, 0, EFD_NONBLOCK);
        this.#keep(call.as);
        return { kind: "plain" };
      case "memfd": {
        const file = { slot: this.#slots.of(call.as) };
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
        this.syscall(SYS.close, this.#slots.value(call.fd));
        return { kind: "plain" };
      case "dup":
        this.syscall(SYS.dup, this.#slots.value(call.fd));
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
        this.syscall(SYS.lseek, this.#slots.value(call.fd), call.offset, call.whence);
        return { kind: "plain" };
      case "poll":
        code.poke(TEXT, pollfd(typeof call.fd === "string" ? -1 : call.fd));
        if (typeof call.fd === "string") code.pokeSlot(TEXT, 4, this.#slots.of(call.fd));
        code.syscall(SYS.poll, TEXT, 1, 0).peek(TEXT, POLLFD_SIZE);
        return { kind: "poll" };
      case "mmap":
        this.#mmap(call);
        return { kind: "plain" };
      case "munmap":
        this.syscall(SYS.munmap, this.#slots.value(call.at), call.length);
        return { kind: "plain" };
      case "load":
        code.touchRead(this.#place(call), call.width, this.#mappingSlot(call));
        return { kind: "load", width: call.width };
      case "store":
        code.touchWrite(this.#place(call), call.width, call.value, this.#mappingSlot(call));
        return { kind: "store" };
      case "sysfs-write": {
        return this.sysfsWrite(attributePath(this.topology, call.attribute), this.#written(call));
      }
      case "start": {
        const text = this.#written(call);
        const task = this.#tasks.size;
        this.#tasks.set(call.as, task);
        code.pokeText(PATH, attributePath(this.topology, call.attribute)).pokeText(TEXT, text);
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
      case "fork": {
        const process = this.#forks++;
        if (process >= PROCESS_COUNT)
          throw new TooLarge(`A program makes at most ${PROCESS_COUNT} processes; split it.`);
        this.#processes.set(call.as, process);
        code.fork(process);
        return { kind: "plain" };
      }
      case "exit": {
        const process = this.#processes.get(call.process);
        this.#processes.delete(call.process);
        // One that has ended, or never was, is no more to be ended.
        if (process === undefined) code.syscall(SYS.sched_yield);
        else code.exit(process);
        return { kind: "plain" };
      }
      case "sysfs-read":
        this.readFile(attributePath(this.topology, call.attribute), READ_SIZE);
        return { kind: "sysfs-read" };
      case "probe":
        return this.probe(call.probe);
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
    return "device" in text ? busName(this.topology, text.device) : text.text;
  }

  #mmap({ fd, length, prot, offset, private: isPrivate, as }: Call & { op: "mmap" }): void {
    const flags = isPrivate ? MAP_PRIVATE : MAP_SHARED;
    this.syscall(SYS.mmap, 0, length, prot, flags, this.#slots.value(fd), this.#slots.value(offset));
    if (as !== undefined) this.#keep(as);
  }

  /** Where memory is accessed: from a handle's address on, or at an address. */
  #place({ at, offset }: Call & { op: "load" | "store" }): number {
    return typeof at === "string" ? offset : Number(at) + offset;
  }

  #mappingSlot({ at }: Call & { op: "load" | "store" }): number {
    return typeof at === "string" ? this.#slots.of(at) : NO_SLOT;
  }

  #read(call: Call & { op: "read" | "pread" }): Shape {
    const { place, count } = call;
    const index = this.#blocks.next();
    const address = blockAddress(index, place);
    if (typeof place === "number") this.#blocks.clear(index, place, count);
    if (call.into !== undefined) this.#data.set(call.into, address);
    if (call.op === "read") this.syscall(SYS.read, this.#slots.value(call.fd), address, count);
    else this.syscall(SYS.pread64, this.#slots.value(call.fd), address, count, this.#slots.value(call.offset));
    const readable = writableAddress(index, place);
    const length = readable === null ? 0 : typeof place === "number" ? Math.min(place, count) : count;
    if (readable !== null && length > 0) this.code.peek(readable, length);
    return { kind: "struct", length, pointed: [] };
  }

  #write(call: Call & { op: "write" | "pwrite" }): Shape {
    const { count } = call;
    const address = call.from === undefined ? this.#blocks.content(call) : this.#data.get(call.from);
    if (address === undefined) throw new TooLarge(`Nothing was read into ${call.from}.`);
    if (call.op === "write") this.syscall(SYS.write, this.#slots.value(call.fd), address, count);
    else this.syscall(SYS.pwrite64, this.#slots.value(call.fd), address, count, this.#slots.value(call.offset));
    return { kind: "plain" };
  }

  #ioctl(call: Call & { op: "ioctl" }): Shape {
    const ioctl = findIoctl(call.request);
    if (!ioctl) throw new TooLarge(`No ioctl is called ${call.request}.`);
    const code = this.code;
    const { arg } = call;
    const index = this.#blocks.next();
    let value: SyscallArgument;
    let blocks: Placed[] = [];
    switch (arg.kind) {
      case "value":
        value = this.#slots.value(arg.value);
        break;
      case "name": {
        const text = argumentText(this.topology, arg);
        if (text.length < BLOCK_SIZE) {
          value = blockAddress(index, arg.place);
          this.#blocks.pokeText(index, `${text}\0`, arg.place);
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
        blocks = this.#blocks.struct(index, ioctl.argument.layout, arg.struct);
        break;
    }
    this.syscall(SYS.ioctl, this.#slots.value(call.fd), ioctl.request, value);
    if (call.as !== undefined) this.#keep(call.as);
    if (arg.kind !== "struct") return { kind: "plain" };
    const [{ address, length } = NOWHERE, ...pointed] = blocks;
    if (call.binds && ioctl.argument.kind === "struct") {
      for (const field of ioctl.argument.layout.fields) {
        const handle = call.binds[field.name];
        if (handle === undefined) continue;
        if (field.offset + field.width <= length)
          code.load(this.#slots.of(handle), address + field.offset, field.width);
      }
    }
    for (const block of blocks) if (block.length > 0) code.peek(block.address, block.length);
    return { kind: "struct", length, pointed: pointed.map(({ length }) => length) };
  }
}
