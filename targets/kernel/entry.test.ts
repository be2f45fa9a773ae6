import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readEntry, storeEntry } from "./entry.ts";
import { listCache } from "./list.ts";

let root: string;
let directory: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "entry-"));
  directory = join(root, "kernels", "6.1-plain-0123");
  const output = join(root, "output");
  await mkdir(join(root, "kernels"));
  await mkdir(output);
  await writeFile(join(output, "bzImage"), "kernel");
  await writeFile(join(output, ".config"), "CONFIG_VFIO=y\n");
  await writeFile(join(output, "mtty.ko"), "module");
  await storeEntry(
    directory,
    {
      key: "6.1-plain-0123",
      name: "6.1 plain",
      version: { major: 6, minor: 1 },
      flavour: "plain",
      sourceVersion: "6.1.176-1",
      recipe: "abc",
    },
    {
      release: "6.1.176",
      bzImage: join(output, "bzImage"),
      config: join(output, ".config"),
      modules: [join(output, "mtty.ko")],
    },
  );
  await rm(output, { recursive: true });
});
afterEach(() => rm(root, { recursive: true }));

test("a stored kernel is complete without its build", async () => {
  const entry = await readEntry(directory);
  expect(entry).toMatchObject({
    kind: "present",
    kernel: {
      key: "6.1-plain-0123",
      name: "6.1 plain",
      release: "6.1.176",
      bzImage: join(directory, "bzImage"),
      modules: [join(directory, "modules", "mtty.ko")],
      config: new Map([["CONFIG_VFIO", "y"]]),
    },
    meta: { schema: 1, recipe: "abc" },
  });
});

test("the cache lists it", async () => {
  const { kernels } = await listCache(root);
  expect(kernels.map((kernel) => kernel.kind === "present" && kernel.meta.name)).toEqual(["6.1 plain"]);
});

test("what is not there is absent", async () => {
  expect(await readEntry(`${directory}-other`)).toEqual({ kind: "absent" });
});

test.each([
  ["bzImage", "other bytes", "bzImage was changed"],
  ["meta.json", "{", "meta.json is no JSON"],
  ["meta.json", '{"schema": 0}', "meta.json is of another form"],
])("a changed %s breaks it", async (file, text, why) => {
  await writeFile(join(directory, file), text);
  expect(await readEntry(directory)).toEqual({ kind: "broken", why });
});

test("a lost module breaks it", async () => {
  await rm(join(directory, "modules", "mtty.ko"));
  expect(await readEntry(directory)).toEqual({ kind: "broken", why: "mtty.ko is missing" });
});

test("a version written by a later form is not taken for ours", async () => {
  const path = join(directory, "meta.json");
  const meta: unknown = JSON.parse(await readFile(path, "utf8"));
  await writeFile(path, JSON.stringify({ ...Object(meta), extra: 1 }));
  expect(await readEntry(directory)).toMatchObject({ kind: "broken" });
});
