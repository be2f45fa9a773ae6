/** Reads the agent's output back into outcomes, by the shapes that lowering gave. */
import type { Outcome } from "../../model/program.ts";
import { SIGNAL_BASE } from "../../model/uapi/errno.ts";
import { POLLFD_SIZE } from "./images.ts";
import { VM_DIRECTORY } from "./paths.ts";
import { READ_SIZE, type Shape, STATUS_SIZE } from "./shape.ts";

/** What a function is told to be, by the number that the probe gives. */
const RUNTIME_STATUS = ["active", "suspended"];
/** Bit of /proc/sys/kernel/tainted. */
const TAINT_USER = 6;

const ascii = new TextDecoder("latin1");

/** Reads outputs one after the other. A program that was cut short ends with undefined. */
export class OutputReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /**
   * The outcome of a call of that shape, or undefined where the output ends before it. Of one that asked for a failure
   * it says whether that came about; undefined as well where the kernel can't be asked.
   */
  next(shape: Shape, askedToFail = false): Outcome | undefined {
    if (shape.kind === "waited") {
      const before = this.next(shape.of, askedToFail);
      return this.#result() === undefined ? undefined : before;
    }
    const outcome = this.#shaped(shape);
    if (!askedToFail || !outcome) return outcome;
    const fired = this.#result();
    return fired === undefined || fired < 0 ? undefined : { ...outcome, failed: fired === 1 };
  }

  #shaped(shape: Exclude<Shape, { kind: "waited" }>): Outcome | undefined {
    switch (shape.kind) {
      case "plain":
        return this.#plain();
      case "found-group": {
        // The link's own result does not matter: without it the path leads nowhere.
        if (this.#result() === undefined) return undefined;
        return this.#plain();
      }
      case "struct": {
        const ret = this.#result();
        const bytes = this.#take(shape.length);
        const pointed = shape.pointed.map((length) => this.#take(length));
        if (ret === undefined || bytes === undefined || !pointed.every((block) => block !== undefined))
          return undefined;
        return {
          ret,
          ...(shape.length > 0 ? { bytes } : {}),
          ...(pointed.length > 0 ? { pointed } : {}),
        };
      }
      case "sysfs-write": {
        const opened = this.#result();
        if (opened === undefined) return undefined;
        if (opened < 0) return { ret: opened };
        const ret = this.#result();
        const closed = this.#result();
        return ret === undefined || closed === undefined ? undefined : { ret };
      }
      case "started":
        return this.#result() === undefined ? undefined : this.#plain();
      case "store":
        return this.#signal();
      case "load": {
        const signal = this.#signal();
        const loaded = this.#take(8);
        if (!signal || !loaded) return undefined;
        return signal.ret < 0 ? signal : { ret: 0, bytes: loaded.subarray(0, shape.width) };
      }
      case "stores":
        return this.#stores(shape.waited);
      case "sysfs-read":
        return this.#read(READ_SIZE);
      case "status": {
        const read = this.#read(STATUS_SIZE);
        if (!read?.text) return read;
        const value = shape.line.exec(read.text)?.[1];
        // What is less than nothing the kernel shows as a very large number.
        return { ret: value === undefined ? -1 : Number(BigInt.asIntN(64, BigInt(value))) };
      }
      case "tainted": {
        const read = this.#read(READ_SIZE);
        return read?.text === undefined ? read : { ret: (Number(read.text) >> TAINT_USER) & 1 };
      }
      case "asleep": {
        if (this.#result() === undefined) return undefined;
        const read = this.#read(READ_SIZE);
        return read?.text === undefined ? read : { ret: RUNTIME_STATUS.indexOf(read.text.trimEnd()) };
      }
      case "memfd": {
        const made = this.#plain();
        if (made === undefined || made.ret < 0) return made;
        for (let left = shape.steps; left > 0; left--) {
          const step = this.#plain();
          if (step === undefined || step.ret < 0) return step;
        }
        return made;
      }
      case "poll": {
        const ret = this.#result();
        const pollfd = this.#take(POLLFD_SIZE);
        if (ret === undefined || !pollfd) return undefined;
        return { ret: ret < 0 ? ret : (pollfd[6] ?? 0) | ((pollfd[7] ?? 0) << 8) };
      }
      case "readlink": {
        const ret = this.#result();
        const bytes = ret === undefined ? undefined : this.#take(READ_SIZE);
        if (ret === undefined || bytes === undefined) return undefined;
        if (ret < 0) return { ret };
        const link = ascii.decode(bytes.subarray(0, ret));
        return { ret: 0, text: link.slice(link.lastIndexOf("/") + 1) };
      }
      case "list":
        return this.#list();
      case "vms": {
        const listed = this.#list();
        if (!listed || listed.ret < 0) return listed;
        return { ret: (listed.text ?? "").split("\n").filter((name) => VM_DIRECTORY.test(name)).length };
      }
    }
  }

  #plain(): Outcome | undefined {
    const ret = this.#result();
    return ret === undefined ? undefined : { ret };
  }

  #result(): number | undefined {
    if (this.#at + 8 > this.#bytes.length) return undefined;
    const value = Number(this.#view.getBigInt64(this.#at, true));
    this.#at += 8;
    return value;
  }

  /** What came of stores to a file that was opened and mapped for them. */
  #stores(waited: readonly boolean[]): Outcome | undefined {
    const opened = this.#plain();
    if (!opened || opened.ret < 0) return opened;
    const mapped = this.#plain();
    if (!mapped) return undefined;
    let failed = Math.min(mapped.ret, 0);
    if (failed === 0) {
      for (const isWaited of waited) {
        failed ||= -(this.#u32() ?? 0);
        if (isWaited) this.#result();
      }
      this.#result();
    }
    return this.#result() === undefined ? undefined : { ret: failed };
  }

  /** 0, or the signal as outcomes have it. */
  #signal(): Outcome | undefined {
    const signal = this.#u32();
    return signal === undefined ? undefined : { ret: signal === 0 ? 0 : -(SIGNAL_BASE + signal) };
  }

  #u32(): number | undefined {
    if (this.#at + 4 > this.#bytes.length) return undefined;
    const value = this.#view.getUint32(this.#at, true);
    this.#at += 4;
    return value;
  }

  #take(length: number): Uint8Array | undefined {
    if (this.#at + length > this.#bytes.length) return undefined;
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }

  #read(size: number): Outcome | undefined {
    const opened = this.#result();
    if (opened === undefined || opened < 0) return opened === undefined ? undefined : { ret: opened };
    const ret = this.#result();
    const bytes = this.#take(size);
    if (ret === undefined || !bytes || this.#result() === undefined) return undefined;
    return ret < 0 ? { ret } : { ret, text: ascii.decode(bytes.subarray(0, ret)) };
  }

  #list(): Outcome | undefined {
    if (this.#at + 8 > this.#bytes.length) return undefined;
    const ret = this.#view.getInt32(this.#at, true);
    const length = this.#view.getUint32(this.#at + 4, true);
    this.#at += 8;
    const bytes = this.#take(length);
    if (!bytes) return undefined;
    return ret < 0 ? { ret } : { ret, text: ascii.decode(bytes) };
  }
}
