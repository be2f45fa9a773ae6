/** Reads the agent's output back into outcomes, by the shapes that lowering gave. */
import type { Outcome } from "../../model/program.ts";
import { POLLFD_SIZE, READ_SIZE, type Shape, STATUS_SIZE } from "./lower.ts";
import { VM_DIRECTORY } from "./paths.ts";

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
    const outcome = this.#shaped(shape);
    if (!askedToFail || !outcome) return outcome;
    const fired = this.#result();
    return fired === undefined || fired < 0 ? undefined : { ...outcome, failed: fired === 1 };
  }

  #shaped(shape: Shape): Outcome | undefined {
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
      case "sysfs-read":
        return this.#read(READ_SIZE);
      case "status": {
        const read = this.#read(STATUS_SIZE);
        if (!read?.text) return read;
        const value = shape.line.exec(read.text)?.[1];
        return { ret: value === undefined ? -1 : Number(value) };
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
        const sized = this.#plain();
        return sized === undefined || sized.ret < 0 ? sized : made;
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
