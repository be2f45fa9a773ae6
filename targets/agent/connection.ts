/**
 * A conversation with an agent over a duplex stream. Requests are sent ahead of their answers, so that the agent never
 * waits for us; the agent answers in order.
 */
import type { Duplex } from "node:stream";
import {
  type AgentRequest,
  type AgentResult,
  decodeHandshake,
  decodeResult,
  encodeRequest,
  FrameReader,
  type Handshake,
  ProtocolError,
} from "./wire.ts";

/** How many bytes, and how many requests, one batch has under way or waiting to be consumed at most. */
const WINDOW_BYTES = 512 * 1024;
const WINDOW_REQUESTS = 256;

/** The agent did not answer, or the connection ended. */
export class TargetLost extends Error {
  override readonly name = "TargetLost";
  /**
   * The requests that were sent and not answered, oldest first. One of the first few is to blame: the agent holds
   * results back for up to 2 ms, so what ran just before may be among them.
   */
  readonly unanswered: readonly AgentRequest[];

  constructor(message: string, unanswered: readonly AgentRequest[], options?: ErrorOptions) {
    super(message, options);
    this.unanswered = unanswered;
  }
}

/** How long to wait. */
export interface ConnectionOptions {
  /** For the handshake. */
  readonly handshakeMs: number;
  /** For an answer, on top of what the request and its cleanup may take. */
  readonly answerGraceMs: number;
  /** Says why the stream ended, if someone knows; waited for when it ended. */
  readonly whyEnded?: () => Promise<string>;
}

interface Pending {
  readonly request: AgentRequest;
  readonly batch: Batch;
}

/** The results of one `run` that have arrived and wait to be consumed. */
interface Batch {
  readonly arrived: AgentResult[];
  /** Wakes the consumer. */
  wake: () => void;
}

/** See the file's comment. */
export class AgentConnection implements AsyncDisposable {
  readonly handshake: Handshake;
  readonly #stream: Duplex;
  readonly #graceMs: number;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #lost: TargetLost | undefined;
  #watchdog: NodeJS.Timeout | undefined;

  /**
   * Waits for the agent's handshake.
   *
   * @throws TargetLost if it does not come in time, ProtocolError if something else answers.
   */
  static async open(stream: Duplex, options: ConnectionOptions): Promise<AgentConnection> {
    return new Promise<AgentConnection>((resolve, reject) => {
      const frames = new FrameReader();
      let connection: AgentConnection | undefined;
      const lose = (why: string, cause?: unknown): void => {
        clearTimeout(timer);
        if (connection) connection.lose(why, cause);
        else reject(cause instanceof ProtocolError ? cause : new TargetLost(why, [], { cause }));
      };
      const timer = setTimeout(
        () => lose(`The agent did not report within ${options.handshakeMs / 1000} s.`),
        options.handshakeMs,
      );
      stream.on("data", (chunk: Buffer) => {
        try {
          for (const frame of frames.push(chunk)) {
            if (connection) {
              connection.#receive(frame);
            } else {
              connection = new AgentConnection(stream, decodeHandshake(frame), options.answerGraceMs);
              clearTimeout(timer);
              resolve(connection);
            }
          }
        } catch (cause) {
          lose("The agent sent what could not be understood.", cause);
        }
      });
      const ended = async (cause?: unknown): Promise<void> =>
        lose((await options.whyEnded?.()) ?? "The connection to the agent ended.", cause);
      stream.on("error", ended);
      stream.on("end", ended);
      stream.on("close", ended);
    });
  }

  private constructor(stream: Duplex, handshake: Handshake, graceMs: number) {
    this.#stream = stream;
    this.handshake = handshake;
    this.#graceMs = graceMs;
  }

  /**
   * Runs requests in order and gives their results as they arrive. Several runs may be under way: their requests take
   * turns as they were sent.
   *
   * @throws TargetLost when the agent is gone; the results before that have been given.
   */
  async *run(requests: Iterable<AgentRequest>): AsyncGenerator<AgentResult, void, undefined> {
    const batch: Batch = { arrived: [], wake: () => {} };
    const waiting = requests[Symbol.iterator]();
    const sizes: number[] = [];
    let underWay = 0;
    let exhausted = false;
    for (;;) {
      this.#stream.cork();
      while (!exhausted && !this.#lost && sizes.length < WINDOW_REQUESTS && underWay < WINDOW_BYTES) {
        const next = waiting.next();
        if (next.done) {
          exhausted = true;
        } else {
          const size = this.#send(next.value, batch);
          sizes.push(size);
          underWay += size;
        }
      }
      this.#stream.uncork();
      const results = batch.arrived.splice(0);
      for (const result of results) {
        underWay -= sizes.shift() ?? 0;
        yield result;
      }
      if (results.length > 0) continue;
      if (exhausted && sizes.length === 0) return;
      if (this.#lost) throw this.#lost;
      await new Promise<void>((resolve) => {
        batch.wake = resolve;
      });
    }
  }

  /** Runs one request. */
  async runOne(request: AgentRequest): Promise<AgentResult> {
    for await (const result of this.run([request])) return result;
    throw new TargetLost("The agent gave no result.", [request]);
  }

  /** Ends the conversation: what waits for an answer fails with `TargetLost`. The first reason given stays. */
  lose(why: string, cause?: unknown): void {
    if (this.#lost) return;
    clearTimeout(this.#watchdog);
    const unanswered = [...this.#pending.values()];
    this.#lost = new TargetLost(
      why,
      unanswered.map((pending) => pending.request),
      { cause },
    );
    this.#pending.clear();
    this.#stream.destroy();
    for (const batch of new Set(unanswered.map((pending) => pending.batch))) batch.wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.lose("The connection to the agent was closed.");
  }

  #send(request: AgentRequest, batch: Batch): number {
    const id = this.#nextId;
    this.#nextId = (this.#nextId + 1) >>> 0;
    const frame = encodeRequest(request, id);
    this.#pending.set(id, { request, batch });
    this.#stream.write(frame);
    if (this.#pending.size === 1) this.#watch();
    return frame.length;
  }

  #receive(frame: Buffer): void {
    const result = decodeResult(frame);
    const pending = this.#pending.get(result.id);
    if (!pending) return;
    this.#pending.delete(result.id);
    this.#watch();
    pending.batch.arrived.push({ ...result, id: pending.request.id });
    pending.batch.wake();
  }

  /** Starts the clock for the oldest request. */
  #watch(): void {
    clearTimeout(this.#watchdog);
    const [oldest] = this.#pending.values();
    if (!oldest) return;
    const ms = 2 * oldest.request.timeoutMs + this.#graceMs;
    this.#watchdog = setTimeout(() => this.lose(`The agent did not answer a request within ${ms / 1000} s.`), ms);
  }
}
