/** A target that is reached through an agent: runs programs, and brings the system up anew when one takes it down. */
import type { Program } from "../model/program.ts";
import type { Profile } from "../model/profile.ts";
import type { Topology } from "../model/topology.ts";
import { type AgentConnection, TargetLost } from "./agent/connection.ts";
import { interpret, type Prepared, prepare } from "./agent-programs.ts";
import { type ProgramRun, type Target, type TargetAbout, TargetError } from "./target.ts";

/** A system that is up. */
export interface Session extends AsyncDisposable {
  readonly agent: AgentConnection;
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

/** Times in a row that the system may be lost without one program coming back. */
const HOPELESS = 3;

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

  async *run(programs: Iterable<Program>): AsyncGenerator<ProgramRun, void, undefined> {
    const source = programs[Symbol.iterator]();
    /** Programs that were sent and have not come back, oldest first; after a loss they are sent again. */
    let waiting: Prepared[] = [];
    let again: Program[] = [];
    let losses = 0;
    let id = 0;

    function* supply(topology: Topology, timeoutMs: number): Generator<Prepared> {
      for (;;) {
        const program = again.shift() ?? source.next().value;
        if (!program) return;
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
      try {
        for await (const result of agent.run(requests)) {
          const prepared = waiting.shift();
          if (!prepared) throw new TargetError("The agent answered a program that was not sent.");
          losses = 0;
          // After a hang that could not be killed, or a cleanup that hung, nothing that follows can be trusted.
          unusable =
            (result.status.kind === "hung" && !result.status.killed) || result.cleanupStatus.kind === "hung";
          yield interpret(prepared, result);
          if (unusable) break;
        }
        if (!unusable) return;
      } catch (cause) {
        if (!(cause instanceof TargetLost)) throw cause;
        losses++;
        const culprit = waiting.shift();
        if (losses >= HOPELESS || !culprit) {
          throw new TargetError(`The target was lost ${losses} times in a row: ${cause.message}`, { cause });
        }
        const { console } = this.#session;
        yield {
          program: culprit.program,
          outcomes: [],
          end: { kind: "died", why: cause.message, console },
          log: console.slice(-16_384),
          leaks: [],
        };
      }
      again = [...waiting.map(({ program }) => program), ...again];
      waiting = [];
      await this.#restart();
    }
  }

  async #restart(): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
    this.#session = await this.#bringing.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
  }
}

