import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ensureKernel } from "./build.ts";
import { embeddedConfig, releaseOf } from "./image.ts";
import type { KernelRequest } from "./kernel.ts";

/** A bzImage as far as its header goes: one setup sector, the version text in it, then the payload. */
function bzImage(versionText: string, payload: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(1024);
  header[0x1f1] = 1;
  header.write("HdrS", 0x202);
  header.writeUInt16LE(0x100, 0x20e);
  header.write(versionText, 0x300);
  header.writeUInt32LE(0, 0x248);
  header.writeUInt32LE(payload.length, 0x24c);
  return Buffer.concat([header, payload]);
}

const CONFIG = "CONFIG_VFIO=y\nCONFIG_KASAN=y\n";
const kernelWithConfig = Buffer.concat([
  Buffer.from("code IKCFG_ST"),
  gzipSync(CONFIG),
  Buffer.from("IKCFG_ED more code"),
]);

describe("the setup header", () => {
  test("holds the release", () => {
    expect(releaseOf(bzImage("6.12.95-test+ (user@host) #1 SMP PREEMPT"))).toBe("6.12.95-test+");
  });

  test("is missing from other files", () => {
    expect(releaseOf(Buffer.from("\x7fELF"))).toBeUndefined();
    expect(releaseOf(Buffer.alloc(4096))).toBeUndefined();
  });
});

test("the configuration is found within the compressed kernel", async () => {
  // The build appends the length of the uncompressed kernel to the payload.
  const payload = Buffer.concat([gzipSync(kernelWithConfig), Buffer.from([1, 2, 3, 4])]);
  expect(await embeddedConfig(bzImage("6.12.0 #1", payload))).toBe(CONFIG);
  expect(await embeddedConfig(bzImage("6.12.0 #1", gzipSync("no configuration")))).toBeUndefined();
  expect(await embeddedConfig(bzImage("6.12.0 #1"))).toBeUndefined();
});

describe("a finished kernel", () => {
  let directory: string;
  const open = (request: Omit<Extract<KernelRequest, { kind: "image" }>, "kind">) =>
    ensureKernel({ kind: "image", ...request }, () => {}, new AbortController().signal, {
      cache: join(directory, "cache"),
    });
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "image-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  test("is described from its header and the configuration beside it", async () => {
    const path = join(directory, "bzImage");
    await writeFile(path, bzImage("7.2.0-rc3 (user@host) #1"));
    await writeFile(join(directory, "config"), CONFIG);
    expect(await open({ path })).toMatchObject({
      release: "7.2.0-rc3",
      version: { major: 7, minor: 2 },
      flavour: "debug",
      bzImage: path,
      modules: [],
      config: new Map([
        ["CONFIG_VFIO", "y"],
        ["CONFIG_KASAN", "y"],
      ]),
    });
  });

  test("still in its tree has the tree's configuration", async () => {
    const boot = join(directory, "arch/x86/boot");
    await mkdir(boot, { recursive: true });
    await writeFile(join(boot, "bzImage"), bzImage("6.1.0 #1"));
    await writeFile(join(directory, ".config"), "CONFIG_VFIO=m\n");
    const kernel = await open({ path: join(boot, "bzImage") });
    expect([...kernel.config]).toEqual([["CONFIG_VFIO", "m"]]);
    expect(kernel.flavour).toBe("plain");
  });

  test("without a configuration says what to give", async () => {
    const path = join(directory, "bzImage");
    await writeFile(path, bzImage("6.1.0 #1"));
    await expect(open({ path })).rejects.toThrow(/configuration of .* is not known: put its \.config beside it/);
    await expect(open({ path, configPath: join(directory, "nowhere") })).rejects.toThrow(/there is no file .*nowhere/);
  });

  test("that is none says what it should be", async () => {
    const path = join(directory, "vmlinux");
    await writeFile(path, "\x7fELF");
    await expect(open({ path })).rejects.toThrow(/is no x86 bzImage: give arch\/x86\/boot\/bzImage/);
    await expect(open({ path: join(directory, "nowhere") })).rejects.toThrow(/there is no file .*nowhere/);
  });
});
