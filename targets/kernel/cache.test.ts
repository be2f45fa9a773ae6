import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cacheRoot, digest, openCache, publish, requireSpace, sweepUnfinished } from "./cache.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cache-"));
});
afterEach(() => rm(directory, { recursive: true }));

test("the cache is where XDG says", () => {
  expect(cacheRoot({ HOME: "/home/user" })).toBe("/home/user/.cache/vfio-conformance");
  expect(cacheRoot({ HOME: "/home/user", XDG_CACHE_HOME: "/big" })).toBe("/big/vfio-conformance");
  expect(cacheRoot({ HOME: "/home/user", XDG_CACHE_HOME: "relative" })).toBe("/home/user/.cache/vfio-conformance");
});

test("a cache that cannot be made says how to have another", async () => {
  await writeFile(join(directory, "file"), "");
  await expect(openCache(join(directory, "file"))).rejects.toThrow(/set XDG_CACHE_HOME to a directory/);
});

describe("publishing", () => {
  test("replaces what was there by the new whole", async () => {
    const target = join(directory, "entry");
    await publish(target, (fresh) => writeFile(join(fresh, "old"), "1"));
    await publish(target, (fresh) => writeFile(join(fresh, "new"), "2"));
    expect(await readdir(target)).toEqual(["new"]);
    expect(await readdir(directory)).toEqual(["entry"]);
  });

  test("leaves everything as it was when it fails half-way", async () => {
    const target = join(directory, "entry");
    await publish(target, (fresh) => writeFile(join(fresh, "file"), "whole"));
    const failing = publish(target, async (fresh) => {
      await writeFile(join(fresh, "file"), "half");
      throw new Error("compiler crashed");
    });
    await expect(failing).rejects.toThrow("compiler crashed");
    expect(await readFile(join(target, "file"), "utf8")).toBe("whole");
    expect(await readdir(directory)).toEqual(["entry"]);
  });

  test("says so when the disk is full", async () => {
    const full = publish(join(directory, "entry"), () => writeFile("/dev/full", "x"));
    await expect(full).rejects.toThrow(/is full: make room/);
  });

  test("what a killed run left is swept away", async () => {
    const killed = publish(join(directory, "entry"), () => new Promise(() => {}));
    void killed;
    await expect.poll(() => readdir(directory)).toHaveLength(1);
    await sweepUnfinished(directory);
    expect(await readdir(directory)).toEqual([]);
  });
});

test("too little room is noticed before work begins", async () => {
  await requireSpace(directory, 1, "nothing");
  await expect(requireSpace(directory, 2 ** 60, "unpacking")).rejects.toThrow(
    /^unpacking needs 1073741824\.0 GiB in .* GiB are free: make room/,
  );
});

test("texts do not run together in a digest", () => {
  expect(digest("ab", "c")).not.toBe(digest("a", "bc"));
});
