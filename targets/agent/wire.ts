/**
 * The frames between us and the agent. Each begins with a u32, the length of the rest; all numbers are little-endian.
 * agent.c has the same frames as `struct request`, `struct result` and `struct hello`.
 */
import { REQUEST_LIMIT } from "./layout.ts";

const PROTOCOL = 3;
const MAGIC = 0x31434656; // "VFC1"
const REQUEST_HEADER = 24;
const RESULT_HEADER = 48;
const HELLO_HEADER = 32;

/** What to run. */
export interface AgentRequest {
  /** Comes back with the result; the caller's to choose, a u32. */
  readonly id: number;
  readonly code: Uint8Array;
  /** Runs afterwards in the janitor, however the code ended; begins with the slots as the code left them. */
  readonly cleanup?: Uint8Array;
  /** How long the code, and then the cleanup, may each take. */
  readonly timeoutMs: number;
  /** Run the code in the janitor instead of a process of its own: for setup. */
  readonly inJanitor?: boolean;
}

/** How a piece of code ended. */
export type AgentStatus =
  | { readonly kind: "done" }
  /**
   * It did not end in time while in the call `mark`; `stack` is where in the kernel, as far as that could be read.
   * If it was not `killed`, the system under test is of no more use, and the agent has ended.
   */
  | { readonly kind: "hung"; readonly mark: number; readonly stack: string; readonly killed: boolean }
  | { readonly kind: "signal"; readonly signo: number; readonly mark: number }
  /** The bytecode is wrong from this byte on. */
  | { readonly kind: "malformed"; readonly at: number };

/** What came of a request. */
export interface AgentResult {
  readonly id: number;
  readonly status: AgentStatus;
  readonly output: Uint8Array;
  /** `done` as well when there was no cleanup code. */
  readonly cleanupStatus: AgentStatus;
  readonly cleanupOutput: Uint8Array;
  /** What the kernel logged meanwhile, a line per record, each `<level>text`. */
  readonly log: string;
}

/** What the agent says of itself first. */
export interface Handshake {
  /** The first file descriptor that a program gets. */
  readonly firstFd: number;
  /** False where the kernel's log may not be read: the log of every result is empty then. */
  readonly kernelLog: boolean;
  readonly isInit: boolean;
  readonly pageSize: number;
  /** The kernel's log since boot, in a guest. */
  readonly bootLog: string;
}

/** The other end does not speak the agent's language. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/**
 * Encodes a request.
 *
 * @throws RangeError if it is longer than the agent takes.
 */
export function encodeRequest(request: AgentRequest, wireId: number): Uint8Array {
  const cleanupLength = request.cleanup?.length ?? 0;
  const length = REQUEST_HEADER + request.code.length + cleanupLength;
  if (length > REQUEST_LIMIT) {
    throw new RangeError(`A program of ${length} bytes is longer than the ${REQUEST_LIMIT} the agent takes; split it.`);
  }
  const frame = new Uint8Array(length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, length - 4, true);
  view.setUint32(4, wireId, true);
  view.setUint32(8, request.inJanitor ? 1 : 0, true);
  view.setUint32(12, request.timeoutMs, true);
  view.setUint32(16, request.code.length, true);
  view.setUint32(20, cleanupLength, true);
  frame.set(request.code, REQUEST_HEADER);
  if (request.cleanup) frame.set(request.cleanup, REQUEST_HEADER + request.code.length);
  return frame;
}

const text = new TextDecoder();

/** Decodes a result; its `id` is the one on the wire. */
export function decodeResult(frame: Buffer): AgentResult {
  if (frame.length < RESULT_HEADER) throw new ProtocolError("The agent sent a result that is too short.");
  const output = RESULT_HEADER + frame.readUInt32LE(32);
  const cleanup = output + frame.readUInt32LE(36);
  const stack = cleanup + frame.readUInt32LE(40);
  const log = stack + frame.readUInt32LE(44);
  if (log !== frame.length) throw new ProtocolError("The agent sent a result whose parts do not fill it.");
  const stackText = stack > cleanup ? text.decode(frame.subarray(cleanup, stack)) : "";
  return {
    id: frame.readUInt32LE(4),
    status: decodeStatus(frame, 8, stackText),
    output: frame.subarray(RESULT_HEADER, output),
    cleanupStatus: decodeStatus(frame, 20, stackText),
    cleanupOutput: frame.subarray(output, cleanup),
    log: log > stack ? text.decode(frame.subarray(stack, log)) : "",
  };
}

const DONE: AgentStatus = { kind: "done" };

function decodeStatus(frame: Buffer, at: number, stack: string): AgentStatus {
  const mark = frame.readUInt32LE(at + 4);
  switch (frame.readUInt8(at)) {
    case 0:
      return DONE;
    case 1:
      return { kind: "hung", mark, stack, killed: frame.readUInt8(at + 2) !== 0 };
    case 2:
      return { kind: "signal", signo: frame.readUInt8(at + 1), mark };
    case 3:
      return { kind: "malformed", at: frame.readUInt32LE(at + 8) };
    default:
      throw new ProtocolError(`The agent sent the unknown status ${frame.readUInt8(at)}.`);
  }
}

/** Decodes the agent's first frame. */
export function decodeHandshake(frame: Buffer): Handshake {
  if (frame.length < HELLO_HEADER || frame.readUInt32LE(4) !== MAGIC) {
    throw new ProtocolError("What answered is not the agent.");
  }
  const protocol = frame.readUInt32LE(8);
  if (protocol !== PROTOCOL) {
    throw new ProtocolError(`The agent speaks protocol ${protocol}, not ${PROTOCOL}; compile it anew.`);
  }
  const flags = frame.readUInt32LE(16);
  return {
    firstFd: frame.readUInt32LE(12),
    kernelLog: (flags & 1) !== 0,
    isInit: (flags & 2) !== 0,
    pageSize: frame.readUInt32LE(24),
    bootLog: text.decode(frame.subarray(HELLO_HEADER)),
  };
}

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #length = 0;
  /** How many bytes must be here before it is worth looking at them again. */
  #wanted = 4;

  /** Takes what arrived and gives the frames that are whole now. */
  *push(chunk: Buffer): Generator<Buffer> {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#wanted) return;
    let rest = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    for (;;) {
      this.#wanted = rest.length < 4 ? 4 : 4 + rest.readUInt32LE(0);
      if (rest.length < this.#wanted) break;
      yield rest.subarray(0, this.#wanted);
      rest = rest.subarray(this.#wanted);
    }
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#length = rest.length;
  }
}
