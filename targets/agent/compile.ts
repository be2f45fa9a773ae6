/**
 * Compiles agent.c once, with the system's compiler, into the user's cache.
 */
import { execFile } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { access, mkdir, readFile, rename } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const FLAGS = ["-O2", "-static", "-std=gnu11"];

/** The agent could not be compiled; the message says what to do. */
export class AgentCompileError extends Error {
  override readonly name = "AgentCompileError";
}

/** Where this project keeps what is expensive to make: `$XDG_CACHE_HOME/vfio-conformance`, or the same under `~/.cache`. */
export function cacheDirectory(): string {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "vfio-conformance");
}

/**
 * The path of the compiled agent, compiled now if need be.
 *
 * @throws AgentCompileError without a C compiler, or if it fails.
 */
export async function compileAgent(): Promise<string> {
  const source = join(import.meta.dirname, "agent.c");
  const compiler = process.env["CC"] || "cc";
  const version = await run(compiler, ["--version"]).catch((cause: unknown) => {
    throw new AgentCompileError(
      `No C compiler (${compiler}) to compile the agent with: install one, for example with: apt-get install gcc libc6-dev`,
      { cause },
    );
  });
  const hash = createHash("sha256")
    .update(await readFile(source))
    .update(version.stdout)
    .update(FLAGS.join(" "))
    .digest("hex")
    .slice(0, 16);
  const directory = join(cacheDirectory(), "agent", hash);
  const agent = join(directory, "agent");
  if (await exists(agent)) return agent;
  await mkdir(directory, { recursive: true });
  const fresh = `${agent}.${randomUUID()}`; // renamed when whole, as others may be compiling too
  await run(compiler, [...FLAGS, "-o", fresh, source]).catch((cause: unknown) => {
    const said = cause instanceof Error && "stderr" in cause ? `: ${String(cause.stderr).trim()}` : ".";
    throw new AgentCompileError(`${compiler} could not compile the agent${said}`, { cause });
  });
  await rename(fresh, agent);
  return agent;
}

/** Whether there is a file at `path`. */
export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
