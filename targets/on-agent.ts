/** A target that is reached through an agent: runs programs, and brings the system up anew when one takes it down. */

import type { Profile } from "../model/profile.ts";
import type { Program } from "../model/program.ts";
import type { Topology } from "../model/topology.ts";
import { type AgentConnection, TargetLost } from "./agent/connection.ts";
import { interpret, type Prepared, prepare } from "./agent-programs.ts";
import { leavesTraces, type ProgramRun, type Target, type TargetAbout, TargetError } from "./target.ts";

/** What a target needs of the connection to its agent. */
export type Agent = Pick<AgentConnection, "run" | "runOne">;

/** A system that is up. */
export interface Session extends AsyncDisposable {
  readonly agent: Agent;
  readonly topology: Topology;
  /** The console's last words. */
  readonly console: string;
}

/** How to get from nothing to a system that is up, and what it then is. */
export interface Bringing {
  readonly about: TargetAbout;
  readonly profile: Profile;
  /** Milliseconds that a program, and its cleanup, may each take. */
  readonly timeoutMs: number;
  start(): Promise<Session>;
}

/** Programs among which the one that took the system down is looked for. */
const SUSPECTS = 8;
/** Times in a row that the system may be lost without one program coming back. */
const HOPELESS = 20;

export class AgentTarget implements Target {
  readonly #bringing: Bringing;
  #session: Session;

  /** Brings the system up for the first time. */
  static async start(bringing: Bringing): Promise<AgentTarget> {
    return new AgentTarget(bringing, await bringing.start());
  }

  private constructor(bringing: Bringing, session: Session) {
    this.#bringing = bringing;
    this.#session = session;
  }

  get about(): TargetAbout {
    return this.#bringing.about;
  }

  get profile(): Profile {
    return this.#bringing.profile;
  }

  get topology(): Topology {
    return this.#session.topology;
  }

  /** The agent of the system that is up now, for those who need no more than it. */
  get agent(): Agent {
    return this.#session.agent;
  }

  async *run(programs: Iterable<Program>): AsyncGenerator<ProgramRun, void, undefined> {
    const source = programs[Symbol.iterator]();
    /** Programs that were sent and have not come back, oldest first; after a loss they are sent again. */
    let waiting: Prepared[] = [];
    let again: Program[] = [];
    let losses = 0;
    let id = 0;
    /** Programs that are still to be run one at a time, after a loss. */
    let singly = 0;
    let exhausted = false;

    function* supply(topology: Topology, timeoutMs: number): Generator<Prepared> {
      for (;;) {
        if (singly > 0 && waiting.length > 0) return;
        const program = again.shift() ?? source.next().value;
        if (!program) {
          exhausted = true;
          return;
        }
        const prepared = prepare(id++, program, topology, timeoutMs);
        waiting.push(prepared);
        yield prepared;
      }
    }

    for (;;) {
      const { topology, agent } = this.#session;
      const supplied = supply(topology, this.#bringing.timeoutMs);
      const requests = (function* () {
        for (const prepared of supplied) yield prepared.request;
      })();
      let unusable = false;
      let lost = false;
      try {
        for await (const result of agent.run(requests)) {
          const prepared = waiting.shift();
          if (!prepared) throw new TargetError("The agent answered a program that was not sent.");
          losses = 0;
          if (singly > 0) singly--;
          const run = interpret(prepared, result);
          // Neither what a program left behind, nor a kernel that has reported a bug, nor what an unkillable task holds is
          // anything that the next program may start from.
          unusable = leavesTraces(run) || (result.status.kind === "hung" && !result.status.killed);
          yield run;
          if (unusable) break;
        }
        if (!unusable && exhausted && again.length === 0 && waiting.length === 0) return;
      } catch (cause) {
        if (!(cause instanceof TargetLost)) throw cause;
        losses++;
        lost = true;
        const [suspect] = waiting;
        if (losses >= HOPELESS || !suspect) {
          throw new TargetError(`The target was lost ${losses} times in a row: ${cause.message}`, { cause });
        }
        // Answers travel in bundles: the one to blame is among the first that were not answered. One at a time tells.
        singly = Math.min(waiting.length, SUSPECTS);
        if (waiting.length === 1) {
          waiting = [];
          singly = 0;
          const { console } = this.#session;
          yield {
            program: suspect.program,
            outcomes: [],
            end: { kind: "died", why: cause.message, console },
            log: console.slice(-16_384),
            leaks: [],
          };
        }
      }
      again = [...waiting.map(({ program }) => program), ...again];
      waiting = [];
      if (lost || unusable) await this.restart();
    }
  }

  /** Brings the system up anew. */
  async restart(): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
    this.#session = await this.#bringing.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
  }
}
