import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openCache } from "./cache.ts";
import { parseFragment } from "./config.ts";
import type { BuildContext } from "./context.ts";
import { type MakeJob, makeKernel } from "./make.ts";
import { buildTree, ensureTree, requireCleanTree } from "./tree.ts";

// A source tree that knows the targets this folder uses, and "compiles" by writing files.
const MAKEFILE = `VERSION = 7
PATCHLEVEL = 2
export O
kernelversion:
	@echo 7.2.0-rc1
allnoconfig:
	@grep -v CONFIG_UNKNOWN $(KCONFIG_ALLCONFIG) > $(O)/.config
modules:
	@mkdir -p $(O)/samples && echo module > $(O)/samples/mtty.ko && echo samples/mtty.o > $(O)/modules.order
bzImage:
	@mkdir -p $(O)/include/config $(O)/arch/x86/boot
	@echo "  CC      init/main.o"
	@test ! -e broken.c || { echo "broken.c:1: error: expected ;" >&2; exit 1; }
	@test ! -e endless.c || { echo "  CC      endless.o"; sleep 60; }
	@test ! -e full.c || { echo "full.o: No space left on device" >&2; exit 1; }
	@echo 7.2.0-rc1+ > $(O)/include/config/kernel.release
	@echo kernel > $(O)/arch/x86/boot/bzImage
`;

let root: string;
let source: string;
let job: MakeJob;
let abort: AbortController;
let context: BuildContext;
let told: string[];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "make-"));
  source = join(root, "linux");
  await mkdir(source);
  await writeFile(join(source, "Makefile"), MAKEFILE);
  await writeFile(join(source, "Kbuild"), "");
  const required = parseFragment("CONFIG_MODULES=y\nCONFIG_VFIO=y", "test");
  const offered = [...required, ...parseFragment("CONFIG_UNKNOWN=y", "test")];
  const log = join(root, "build.log");
  job = { name: "7.2 plain", flavour: "plain", source, output: join(root, "out"), offered, required, log };
  abort = new AbortController();
  told = [];
  const report: BuildContext["report"] = ({ stage, line }) => told.push(`${stage} ${line ?? ""}`.trim());
  context = { cache: await openCache(join(root, "cache")), signal: abort.signal, report };
});
afterEach(() => rm(root, { recursive: true }));

describe("a build", () => {
  test("leaves the kernel and its modules, tells of its steps and keeps a log", async () => {
    expect(await makeKernel(job, context)).toEqual({
      release: "7.2.0-rc1+",
      bzImage: join(root, "out/arch/x86/boot/bzImage"),
      config: join(root, "out/.config"),
      modules: [join(root, "out/samples/mtty.ko")],
    });
    expect(told).toContain("build CC      init/main.o");
    expect(await readFile(job.log, "utf8")).toContain("init/main.o");
  });

  test("stops before the compiler when an option did not come", async () => {
    await expect(makeKernel({ ...job, required: job.offered }, context)).rejects.toThrow(
      "Kconfig of 7.2 plain did not grant CONFIG_UNKNOWN=y",
    );
    expect(told).toEqual(["configure"]);
  });

  test("that fails shows the lines that say why and where the rest is", async () => {
    await writeFile(join(source, "broken.c"), "");
    await expect(makeKernel(job, context)).rejects.toMatchObject({
      message: `make modules of 7.2 plain failed with status 2: its log is ${job.log}.`,
      detail: expect.arrayContaining(["broken.c:1: error: expected ;"]),
    });
  });

  test("on a disk that fills up says so", async () => {
    await writeFile(join(source, "full.c"), "");
    await expect(makeKernel(job, context)).rejects.toThrow(/^the disk with .* is full/);
  });

  test("ends with an abort", async () => {
    await writeFile(join(source, "endless.c"), "");
    const stopped = makeKernel(job, {
      ...context,
      report: ({ line }) => {
        if (line === "CC      endless.o") abort.abort(new Error("Ctrl-C"));
      },
    });
    await expect(stopped).rejects.toThrow("Ctrl-C");
  });
});

describe("a tree", () => {
  test("that holds a build of its own must be cleaned first", async () => {
    await requireCleanTree(source);
    await writeFile(join(source, ".config"), "");
    await expect(requireCleanTree(source)).rejects.toThrow(
      /run “make mrproper” there, or give what it built with --kernel/,
    );
  });

  test("that is none is refused", async () => {
    const request = { kind: "tree", directory: context.cache.root, flavour: "plain" } as const;
    await expect(ensureTree(request, context)).rejects.toThrow(/is no Linux source tree/);
  });

  test("is built in the cache and stays as it was; another tree has a build of its own", async () => {
    const before = await readdir(source);
    const request = { kind: "tree", directory: source, flavour: "plain" } as const;
    const kernel = await buildTree(request, source, context);
    expect(kernel).toMatchObject({
      name: `7.2.0-rc1 plain of ${source}`,
      release: "7.2.0-rc1+",
      version: { major: 7, minor: 2 },
      sourceVersion: "7.2.0-rc1",
    });
    expect(kernel.config.get("CONFIG_VFIO")).toBe("y");
    expect(await readdir(source)).toEqual(before);

    const again = await buildTree(request, source, context);
    expect(again.bzImage).toBe(kernel.bzImage);
    expect(again.key).toBe(kernel.key);

    const copy = join(root, "other");
    await cp(source, copy, { recursive: true });
    expect((await buildTree({ ...request, directory: copy }, copy, context)).bzImage).not.toBe(kernel.bzImage);
  });
});
