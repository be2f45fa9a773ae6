/**
 * This machine as a target: the same agent as an ordinary process, spoken to over its standard input and output.
 */
import { spawn } from "node:child_process";
import { Duplex } from "node:stream";
import { compileAgent } from "../agent/compile.ts";
import { AgentConnection } from "../agent/connection.ts";

/** The agent on this machine. Disposing of it ends the agent. */
export interface Host extends AsyncDisposable {
  readonly agent: AgentConnection;
}

/**
 * Starts the agent on this machine, with this process's rights.
 *
 * @throws AgentCompileError if it cannot be compiled, TargetLost if it does not start.
 */
export async function connectHost(): Promise<Host> {
  // In a process group of its own: a Ctrl-C on the terminal is for us, who end the agent when its work is done.
  const child = spawn(await compileAgent(), ["--stdio"], { stdio: ["pipe", "pipe", "inherit"], detached: true });
  const ended = new Promise<void>((resolve) => {
    child.on("error", () => resolve());
    child.on("close", () => resolve());
  });
  const kill = (): void => {
    child.kill("SIGKILL");
  };
  process.on("exit", kill);
  void ended.then(() => process.off("exit", kill));
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
  const agent = await AgentConnection.open(stream, { handshakeMs: 10_000, answerGraceMs: 30_000 });
  return {
    agent,
    async [Symbol.asyncDispose]() {
      agent.lose("The agent was shut down.");
      kill();
      await ended;
    },
  };
}
