/**
 * The guest's whole file system: the agent as init, kernel modules in the order they are to be loaded, and empty
 * directories to mount on. Kept in the user's cache.
 */
import { spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { finished } from "node:stream/promises";
import { cacheDirectory, exists } from "../agent/compile.ts";

/** The initramfs could not be made; the message says what to do. */
export class InitramfsError extends Error {
  override readonly name = "InitramfsError";
}

/**
 * The path of an initramfs with this agent and these modules.
 *
 * @param modules paths of `.ko` files, in the order they are to be loaded
 * @throws InitramfsError without `cpio`, or if it fails.
 */
export async function buildInitramfs(agent: string, modules: readonly string[]): Promise<string> {
  const hash = createHash("sha256").update(await readFile(agent));
  for (const module of modules) hash.update(basename(module)).update(await readFile(module));
  const directory = join(cacheDirectory(), "initramfs");
  const initramfs = join(directory, `${hash.digest("hex").slice(0, 16)}.cpio`);
  if (await exists(initramfs)) return initramfs;

  await mkdir(directory, { recursive: true });
  const root = await mkdtemp(join(tmpdir(), "vfio-conformance-"));
  const fresh = `${initramfs}.${randomUUID()}`; // renamed when whole, as others may be making it too
  try {
    const members = ["init", "modules", "dev", "proc", "sys", "tmp"];
    for (const name of members.slice(1)) await mkdir(join(root, name));
    await copyFile(agent, join(root, "init"));
    for (const [i, module] of modules.entries()) {
      const name = `modules/${String(i).padStart(3, "0")}-${basename(module)}`; // the agent goes by name
      await copyFile(module, join(root, name));
      members.push(name);
    }
    await archive(root, members, fresh);
    await rename(fresh, initramfs);
  } finally {
    await rm(root, { recursive: true });
    await rm(fresh, { force: true });
  }
  return initramfs;
}

async function archive(root: string, members: readonly string[], path: string): Promise<void> {
  const cpio = spawn("cpio", ["--create", "--format=newc", "--quiet", "--owner=0:0"], { cwd: root });
  let said = "";
  cpio.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const file = createWriteStream(path);
  cpio.stdout.pipe(file);
  cpio.stdin.on("error", () => {}); // the exit code tells
  cpio.stdin.end(`${members.join("\n")}\n`);
  const code = await new Promise<number | null>((resolve, reject) => {
    cpio.on("error", (cause) =>
      reject(
        new InitramfsError("No cpio to make the initramfs with; install it with: apt-get install cpio", { cause }),
      ),
    );
    cpio.on("close", resolve);
  });
  if (code !== 0) throw new InitramfsError(`cpio could not make the initramfs: ${said.trim()}`);
  await finished(file);
}
