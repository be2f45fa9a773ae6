import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lock } from "./lock.ts";

let directory: string;
let path: string;
const { signal } = new AbortController();
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "lock-"));
  path = join(directory, "lock");
});
afterEach(() => rm(directory, { recursive: true }));

test("one at a time, and whoever waits is told", async () => {
  const order: string[] = [];
  const first = await lock(path, signal);
  const second = lock(path, signal, () => order.push("second waits")).then(async (held) => {
    order.push("second has it");
    await held[Symbol.asyncDispose]();
  });
  await expect.poll(() => order).toEqual(["second waits"]);
  order.push("first lets go");
  await first[Symbol.asyncDispose]();
  await second;
  expect(order).toEqual(["second waits", "first lets go", "second has it"]);
});

test("a process that was killed holds no lock", async () => {
  const script = `import { lock } from ${JSON.stringify(new URL("lock.ts", import.meta.url).href)};
    const held = await lock(process.argv[1], new AbortController().signal);
    console.log("held"); setInterval(() => held, 1000);`;
  const other = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script, path]);
  await once(other.stdout, "data");
  let waited = false;
  const mine = lock(path, signal, () => {
    waited = true;
  });
  await expect.poll(() => waited).toBe(true);
  other.kill("SIGKILL");
  await (await mine)[Symbol.asyncDispose]();
});

test("waiting ends with an abort, and the holder keeps the lock", async () => {
  await using _ = await lock(path, signal);
  const abort = new AbortController();
  const waiting = lock(path, abort.signal, () => abort.abort(new Error("Ctrl-C")));
  await expect(waiting).rejects.toThrow("Ctrl-C");
});

test("a lock that cannot be made is an error that names it", async () => {
  await expect(lock(join(directory, "missing", "lock"), signal)).rejects.toThrow(/^cannot lock .*missing\/lock/);
});
