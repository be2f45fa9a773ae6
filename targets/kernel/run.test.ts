import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "./run.ts";

const { signal } = new AbortController();

test("a program's lines, status and log", async () => {
  const directory = await mkdtemp(join(tmpdir(), "run-"));
  const log = join(directory, "log");
  const lines: string[] = [];
  const result = await run("sh", ["-c", "echo out; echo $WORD >&2; exit 3"], {
    signal,
    log,
    env: { WORD: "err" },
    onLine: (line) => lines.push(line),
  });
  expect(result).toEqual({ status: 3, stdout: ["out"], stderr: ["err"] });
  expect(lines.sort()).toEqual(["err", "out"]);
  expect((await readFile(log, "utf8")).split("\n").sort()).toEqual(["", "err", "out"]);
  await rm(directory, { recursive: true });
});

test("an abort ends the children of the program too", async () => {
  const abort = new AbortController();
  let child = 0;
  const running = run("sh", ["-c", "sleep 60 & echo $!; wait"], {
    signal: abort.signal,
    onLine: (line) => {
      child = Number(line);
      abort.abort(new Error("Ctrl-C"));
    },
  });
  await expect(running).rejects.toThrow("Ctrl-C");
  // Gone, or dead and waiting for a parent that will never ask.
  const state = await readFile(`/proc/${child}/stat`, "utf8").catch(() => "0 (sleep) X");
  expect(state).toMatch(/\) [XZ]/);
});

test("a program that is not there is named", async () => {
  await expect(run("no-such-program", [], { signal })).rejects.toThrow(/^no-such-program is missing/);
});
