/**
 * The machine: boots a topology under a profile and answers a program's calls, one after the other.
 *
 * A machine is made for one program and thrown away. Everything that differs between two uses of the model comes in
 * from outside: who chooses where the kernel may choose, which steps are replaced, and the lock order graph that
 * outlives it.
 */

import { boot } from "./boot.ts";
import { EventFile } from "./eventfd.ts";
import { rule as allocRule } from "./kernel/alloc.ts";
import { type Clause, Refusal, refuse } from "./kernel/clause.ts";
import { ArgumentBlocks } from "./kernel/encode.ts";
import { canRead, canWrite, type File, type Transfer } from "./kernel/file.ts";
import { findIoctl, type Ioctl } from "./kernel/ioctl.ts";
import { type Chooser, Kernel, ownChoice } from "./kernel/kernel.ts";
import { LockOrder } from "./kernel/lock.ts";
import { PAGE } from "./kernel/memory-map.ts";
import { Blocked, type Operation, runStraight, Unmodelled } from "./kernel/operation.ts";
import { Processes } from "./kernel/processes.ts";
import { StartedTask } from "./kernel/started-task.ts";
import type { UserBlock } from "./kernel/user-memory.ts";
import { rule as vfsRule } from "./kernel/vfs.ts";
import { MappedFiles } from "./mapped-files.ts";
import { MemfdFile } from "./memfd.ts";
import { openNode } from "./nodes.ts";
import { NullFile } from "./other-files.ts";
import { runProbe } from "./probes.ts";
import type { Profile } from "./profile.ts";
import type { Call, Outcome, Value } from "./program.ts";
import { readAttribute, writeAttribute } from "./sysfs.ts";
import { argumentText, busName, type Topology } from "./topology.ts";

/** Replaces steps of the model: a fault, or a deviation of a real kernel. */
export interface Override {
  readonly id: string;
  apply(k: Kernel): void;
}

export interface MachineOptions {
  readonly topology: Topology;
  readonly profile: Profile;
  readonly chooser?: Chooser;
  readonly order?: LockOrder;
  readonly overrides?: readonly Override[];
}

/** What the model says of the call just made. Reused by the next call. */
export interface Answer {
  /** Return value, or a negative errno. */
  ret: number;
  /** The clause that refused the call, or null. */
  refusedBy: Clause | null;
  /** Bytes of the struct after the call, from `Machine.block`, that are to be compared; 0 for calls without one. */
  length: number;
  /** What the struct's pointers lead to, after the call. */
  pointed: readonly UserBlock[];
  /** Text of a probe or a sysfs read. */
  text: string | undefined;
  /** Whether an allocation failed; undefined where the call did not ask for it. */
  failed: boolean | undefined;
}

/** Calls that move data between a file and memory. */
type TransferCall = Call & { op: "read" | "write" | "pread" | "pwrite" };
const NOTHING: readonly UserBlock[] = [];

export class Machine {
  readonly k: Kernel;
  readonly #handles = new Map<string, number | bigint>();
  /** What reads have brought, by its handle; null where it is not known to the byte. */
  readonly #data = new Map<string, Uint8Array | null>();
  readonly #mapped: MappedFiles;
  /** Tasks that the program has started, by their handles. */
  readonly #started = new Map<string, StartedTask>();
  readonly #processes: Processes;
  readonly #blocks: ArgumentBlocks;
  /** The clause that refuses the call in flight for an allocation that was seen to fail. */
  #refusal: Clause | null = null;
  readonly answer: Answer = {
    ret: 0,
    refusedBy: null,
    length: 0,
    pointed: NOTHING,
    text: undefined,
    failed: undefined,
  };

  constructor(options: MachineOptions) {
    const { topology, profile } = options;
    const k = new Kernel(topology, profile, options.order ?? new LockOrder(), options.chooser ?? ownChoice);
    this.k = k;
    this.#blocks = new ArgumentBlocks(k);
    this.#mapped = new MappedFiles(k);
    this.#processes = new Processes(k);
    if (options.overrides) for (const override of options.overrides) override.apply(k);
    boot(k);
    // Standard input, output and error of every program.
    for (let fd = 0; fd < 3; fd++) k.fds.install(fd, new NullFile());
  }

  /** The bytes of the main struct after the call. */
  get block(): Uint8Array {
    return this.#blocks.main.bytes;
  }

  /** From this byte on the struct's content after the call is not defined. */
  get definedUpTo(): number {
    return this.#blocks.main.definedUpTo;
  }

  /** The number that a handle stands for, -1 while it has none. */
  readonly resolve = (value: Value): number | bigint =>
    typeof value === "string" ? (this.#handles.get(value) ?? -1) : value;

  /** The file behind a handle or number, or undefined. */
  fileOf(value: Value): File | undefined {
    return this.k.fds.get(Number(this.resolve(value)));
  }

  /**
   * Makes one call. Throws Blocked where it would wait for another task, Unmodelled where the model does not know;
   * in both cases nothing has changed.
   */
  step(call: Call): Answer {
    if (call.by === undefined) return this.#step(call);
    const { k } = this;
    const own = k.task;
    k.task = this.#processes.find(call.by);
    try {
      return this.#step(call);
    } finally {
      k.task = own;
    }
  }

  #step(call: Call): Answer {
    const { answer, k } = this;
    answer.refusedBy = null;
    answer.length = 0;
    answer.pointed = NOTHING;
    answer.text = undefined;
    answer.failed = undefined;
    if (k.kept.length > 0) k.kept.length = 0;
    k.task.doing = call.op === "ioctl" ? call.request : call.op;
    if (call.failNth !== undefined) this.#arm(call, call.failNth);
    try {
      answer.ret = this.#make(call);
      if ("as" in call && call.as !== undefined) this.#handles.set(call.as, answer.ret);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) {
        for (let undo = k.undo.pop(); undo; undo = k.undo.pop()) undo();
        throw thrown;
      }
      answer.refusedBy = thrown.clause;
      answer.ret = -thrown.clause.code;
    }
    if (k.undo.length > 0) k.undo.length = 0;
    if (call.failNth !== undefined) this.#disarm();
    if (k.deferred.length > 0) this.#runDeferred();
    if (this.#started.size > 0) this.#advanceTasks();
    k.memory.failed = false;
    return answer;
  }

  /** Has an allocation of the call fail: the model's own nth, or whichever the target was seen to fail. */
  #arm(call: Call, nth: number): void {
    const { chooser, memory } = this.k;
    const file = "fd" in call ? this.fileOf(call.fd) : undefined;
    const seen = chooser.failure?.(call, file);
    memory.arm(seen ? 0 : nth, seen?.failed);
    this.#refusal = seen?.refusedBy ?? null;
    if (seen?.failed !== false) this.k.shortage.strikes(this.k, { call, file, seen });
  }

  #disarm(): void {
    const { memory, mm } = this.k;
    this.answer.failed = memory.failed;
    // How far the kernel had come by then with memory that it was to pin can't be seen.
    if (this.#refusal) mm.forgetOwn();
    this.#refusal = null;
    // What the call puts off runs out of luck as well, but can't be refused any more.
    memory.arm(0, memory.failed);
  }

  /** Refuses a call whose target was seen to do so for want of memory: its arguments lie ready, and nothing has been done. */
  #refuseAsSeen(): void {
    if (this.#refusal) refuse(this.#refusal);
  }

  /** The answer to the call just made as a target would give it, as far as it is defined. */
  outcome(): Outcome {
    const { ret, length, pointed, text, failed } = this.answer;
    return {
      ret,
      ...(length > 0 ? { bytes: this.block.slice(0, Math.min(length, this.definedUpTo)) } : {}),
      ...(pointed.length > 0 ? { pointed: pointed.map((block) => block.defined()) } : {}),
      ...(text === undefined ? {} : { text }),
      ...(failed === undefined ? {} : { failed }),
    };
  }

  /** Gives names to what a successful ioctl brought in its struct. */
  #bind(binds: Readonly<Record<string, string>>, { argument }: Ioctl): void {
    if (argument.kind !== "struct") return;
    const { main } = this.#blocks;
    for (const { name, offset, width } of argument.layout.fields) {
      const handle = binds[name];
      // What is not there brings nothing: a probe succeeds without the feature's data.
      if (handle !== undefined && offset + width <= main.length)
        this.#handles.set(handle, width === 8 ? main.u64(offset) : main.u32(offset));
    }
  }

  #make(call: Call): number {
    const { k } = this;
    if (!("fd" in call) || call.op === "dup" || call.op === "mmap") this.#refuseAsSeen();
    switch (call.op) {
      case "open":
        k.alloc();
        return k.installFd({ at: "return" }, runStraight(openNode(k, call.node, call.flags ?? 2)));
      case "eventfd":
        k.alloc();
        return k.installFd({ at: "return" }, new EventFile());
      case "memfd":
        return k.installFd({ at: "return" }, new MemfdFile(call.size, call.sealed));
      case "close": {
        const file = k.fds.remove(Number(this.resolve(call.fd)));
        if (!file) return refuse(vfsRule["VFS-FD-1"]);
        k.putFile(file);
        if (call.failNth !== undefined) k.keeps(allocRule["ALLOC-2"]);
        return 0;
      }
      case "dup": {
        const file = this.#file(call.fd);
        file.refs++;
        return k.installFd({ at: "return" }, file);
      }
      case "ioctl":
        return this.#ioctl(call);
      case "read":
      case "pread":
        return this.#read(call);
      case "write":
      case "pwrite":
        return this.#write(call);
      case "poll":
        return this.fileOf(call.fd)?.poll(k) ?? k.vfs.pollNothing(k, Number(this.resolve(call.fd)));
      case "lseek":
        return this.#file(call.fd).llseek(k, call.offset, call.whence);
      case "mmap":
        return this.#mmap(call);
      case "munmap":
        this.#mapped.unmap(Number(this.resolve(call.at)), call.length);
        return 0;
      case "load":
        return this.#load(call);
      case "store":
        this.#mapped.store(this.#addressOf(call), call.width, BigInt.asUintN(8 * call.width, BigInt(call.value)));
        return 0;
      case "sysfs-write":
        k.alloc();
        return runStraight(writeAttribute(k, call.attribute, call.text));
      case "fork":
        if (!this.#mapped.isEmpty) throw new Unmodelled("mappings of files that two processes have");
        this.#processes.fork(call.as);
        return 0;
      case "exit":
        this.#processes.end(call.process);
        return 0;
      case "start":
        return this.#start(call);
      case "join": {
        const task = this.#started.get(call.task);
        if (!task) throw new Unmodelled("a task that was not started");
        if (!task.result) throw new Blocked(task.on);
        return task.result.refusedBy ? refuse(task.result.refusedBy) : task.result.ret;
      }
      case "sysfs-read": {
        k.alloc();
        const text = runStraight(readAttribute(k, call.attribute));
        this.answer.text = text;
        return text.length;
      }
      case "probe":
        return runProbe(k, call.probe, this.answer);
      case "capset":
        k.credentials.setCapabilities(k, call.without);
        return 0;
      case "prlimit":
        k.credentials.setMemlock(k, BigInt(call.soft), BigInt(call.hard));
        return 0;
    }
  }

  /** Starts a task and lets it go as far as it can. */
  #start({ attribute, text, as }: Call & { op: "start" }): number {
    const task = new StartedTask(this.#started.size + 1, writeAttribute(this.k, attribute, text));
    if (this.#started.has(as)) throw new Unmodelled("two tasks of one name");
    task.advance(this.k);
    this.#started.set(as, task);
    return task.result ? 0 : 1;
  }

  /** Lets every task that was started go on as far as it can now. */
  #advanceTasks(): void {
    let further = true;
    while (further) {
      further = false;
      for (const task of this.#started.values()) further = task.advance(this.k) || further;
    }
  }

  #file(fd: Value): File {
    return this.fileOf(fd) ?? refuse(vfsRule["VFS-FD-1"]);
  }

  #read(call: Call & { op: "read" | "pread" }): number {
    this.#blocks.buffer(call.count, call.place);
    const { main } = this.#blocks;
    try {
      this.#refuseAsSeen();
      return this.#transfer(call, (file, io) => file.read(this.k, io), canRead);
    } finally {
      this.answer.length = main.length;
      if (call.into !== undefined) this.#data.set(call.into, main.definedUpTo < main.length ? null : main.defined());
    }
  }

  #write(call: Call & { op: "write" | "pwrite" }): number {
    if (call.from === undefined) {
      this.#blocks.buffer(call.count, call.place, call.bytes);
    } else {
      const bytes = this.#data.get(call.from);
      if (!bytes) throw new Unmodelled("writing what was not read");
      this.#blocks.bufferAgain(call.count, bytes);
    }
    this.#refuseAsSeen();
    return this.#transfer(call, (file, io) => file.write(this.k, io), canWrite);
  }

  #transfer(
    call: TransferCall,
    method: (file: File, io: Transfer) => Operation<number>,
    isOpenFor: (file: File) => boolean,
  ): number {
    const offset = "offset" in call ? Number(this.resolve(call.offset)) : null;
    if (offset !== null && offset < 0) return refuse(vfsRule["VFS-RW-2"]);
    const file = this.#file(call.fd);
    if (offset !== null && !file.positioned) return refuse(vfsRule["VFS-FD-7"]);
    if (!isOpenFor(file)) return refuse(vfsRule["VFS-FD-2"]);
    return runStraight(method(file, { block: this.#blocks.main, count: call.count, offset }));
  }

  #mmap({ fd, length, prot, offset, private: isPrivate }: Call & { op: "mmap" }): number {
    const from = Number(this.resolve(offset));
    if (from % PAGE !== 0) return refuse(vfsRule["VFS-MMAP-1"]);
    return this.#mapped.map(this.#file(fd), { length, prot, from, isPrivate: isPrivate === true });
  }

  #load(call: Call & { op: "load" }): number {
    this.#blocks.loaded(call.width, this.#mapped.load(this.#addressOf(call), call.width));
    this.answer.length = call.width;
    return 0;
  }

  #addressOf({ at, offset }: Call & { op: "load" | "store" }): bigint {
    return BigInt(this.resolve(at)) + BigInt(offset);
  }

  #ioctl(call: Call & { op: "ioctl" }): number {
    const ioctl = findIoctl(call.request);
    if (!ioctl) throw new Error(`no ioctl is called ${call.request}`);
    const value = this.#prepare(ioctl, call);
    const { main, at } = this.#blocks;
    if (call.arg.kind === "struct") {
      // The blocks themselves are compared, with what the call leaves in them, refused or not.
      this.answer.length = main.length;
      this.answer.pointed = this.#blocks.pointed;
    }
    this.#refuseAsSeen();
    const file = this.#file(call.fd);
    try {
      const ret = runStraight(file.ioctl(this.k, ioctl, { block: main, value, at }));
      if (call.binds !== undefined) this.#bind(call.binds, ioctl);
      return ret;
    } finally {
      this.#blocks.end();
    }
  }

  /** Lays out the argument and gives its value: an address, or the number itself. */
  #prepare(ioctl: Ioctl, call: Call & { op: "ioctl" }): number {
    const { arg } = call;
    switch (arg.kind) {
      case "struct":
        if (ioctl.argument.kind !== "struct") throw new Error(`${ioctl.name} takes no struct`);
        this.#blocks.struct(ioctl.argument.layout, arg.struct, this.resolve);
        return this.#blocks.main.address;
      case "name":
        this.#blocks.text(argumentText(this.k.topology, arg), arg.place);
        return this.#blocks.main.address;
      case "value":
        this.#blocks.begin("unmapped");
        return Number(this.resolve(arg.value));
    }
  }

  /** The name that sysfs has for a device of the topology. */
  nameOf(device: string): string {
    return busName(this.k.topology, device);
  }

  #runDeferred(): void {
    const { k } = this;
    for (let file = k.deferred.shift(); file; file = k.deferred.shift()) runStraight(file.release(k));
  }

  /** Closes every descriptor, as the end of the process does. */
  exit(): void {
    const { k } = this;
    k.task.doing = "exit";
    this.#processes.endAll();
    k.kept.length = 0;
    for (const [fd, file] of k.fds.open()) {
      k.fds.remove(fd);
      k.putFile(file);
    }
    this.#mapped.unmapAll();
    this.#runDeferred();
    this.#advanceTasks();
  }
}
