// A finished bzImage: its release from the boot protocol's setup header, its configuration from beside or inside it.

import { spawn } from "node:child_process";
import { readFile, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { digest, digestFile } from "./cache.ts";
import { parseConfig } from "./config.ts";
import { KernelError } from "./errors.ts";
import { type Kernel, type KernelRequest, parseVersion } from "./kernel.ts";

export type ImageRequest = Extract<KernelRequest, { readonly kind: "image" }>;

/** Offsets of the setup header (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"). */
const SETUP_SECTS = 0x1f1;
const MAGIC = 0x202;
const KERNEL_VERSION = 0x20e;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const SECTOR = 512;

/** Opens a kernel that someone else built. */
export async function openImage(request: ImageRequest): Promise<Kernel> {
  const bzImage = await realpath(request.path).catch(() => undefined);
  if (bzImage === undefined || !(await stat(bzImage)).isFile()) {
    throw new KernelError(`there is no file ${request.path}: give the path of a bzImage.`);
  }
  const bytes = await readFile(bzImage).catch(() => {
    throw new KernelError(`${request.path} may not be read: make it readable, or copy it.`);
  });
  const release = releaseOf(bytes);
  const version = parseVersion(release ?? "");
  if (release === undefined || !version) {
    throw new KernelError(`${request.path} is no x86 bzImage: give arch/x86/boot/bzImage or a vmlinuz, not vmlinux.`);
  }
  const modules = await Promise.all(
    (request.modules ?? []).map((module) =>
      realpath(module).catch(() => {
        throw new KernelError(`there is no module ${module}: give the paths of .ko files.`);
      }),
    ),
  );
  const config = await findConfig(request, bzImage, bytes, release);
  const instrumented = ["CONFIG_KASAN", "CONFIG_PROVE_LOCKING"].some((option) => config.get(option) === "y");
  const hashes = await Promise.all([bzImage, ...modules].map(digestFile));
  return {
    name: `${release} of ${request.path}`,
    release,
    version,
    flavour: instrumented ? "debug" : "plain",
    bzImage,
    modules,
    config,
    sourceVersion: release,
    key: `image-${digest(...hashes).slice(0, 12)}`,
  };
}

/** The release in a bzImage's setup header, as `uname -r` says it; undefined when this is no bzImage. */
export function releaseOf(image: Buffer): string | undefined {
  if (image.length < PAYLOAD_LENGTH + 4 || image.toString("latin1", MAGIC, MAGIC + 4) !== "HdrS") return undefined;
  // The pointer counts from the end of the boot sector.
  const start = image.readUInt16LE(KERNEL_VERSION) + SECTOR;
  const end = image.indexOf(0, start);
  if (start === SECTOR || end < 0) return undefined;
  return image.toString("latin1", start, end).split(" ")[0];
}

async function findConfig(
  request: ImageRequest,
  bzImage: string,
  bytes: Buffer,
  release: string,
): Promise<ReadonlyMap<string, string>> {
  const beside = dirname(bzImage);
  const places =
    request.configPath !== undefined
      ? [request.configPath]
      : // Beside it as distributions have it, or as a copy; or where the tree has it that built the image.
        [`config-${release}`, "config", ".config", "../../../.config"].map((name) => join(beside, name));
  for (const place of places) {
    const text = await readFile(place, "utf8").catch(() => undefined);
    if (text === undefined) continue;
    const config = parseConfig(text);
    if (config.size > 0) return config;
    throw new KernelError(
      `${place} holds no kernel configuration: give the .config that ${request.path} was built with.`,
    );
  }
  if (request.configPath !== undefined) {
    throw new KernelError(
      `there is no file ${request.configPath}: give the .config that ${request.path} was built with.`,
    );
  }
  const inside = await embeddedConfig(bytes);
  if (inside !== undefined) return parseConfig(inside);
  throw new KernelError(
    `the configuration of ${request.path} is not known: put its .config beside it as “config”, or name it with --config.`,
  );
}

/** The configuration that a kernel with CONFIG_IKCONFIG carries; undefined when there is none, or it cannot be had. */
export async function embeddedConfig(image: Buffer): Promise<string | undefined> {
  // Zero stands for four, for the sake of very old boot loaders.
  const setup = ((image[SETUP_SECTS] || 4) + 1) * SECTOR;
  const start = setup + image.readUInt32LE(PAYLOAD_OFFSET);
  const kernel = await decompress(image.subarray(start, start + image.readUInt32LE(PAYLOAD_LENGTH)));
  const from = kernel?.indexOf("IKCFG_ST") ?? -1;
  if (kernel === undefined || from < 0) return undefined;
  try {
    return gunzipSync(kernel.subarray(from + "IKCFG_ST".length, kernel.indexOf("IKCFG_ED", from))).toString();
  } catch {
    return undefined;
  }
}

/** The compressions that Kconfig offers and programs undo, by the bytes that begin them. */
const COMPRESSIONS: readonly { readonly magic: string; readonly program: string }[] = [
  { magic: "1f8b", program: "gzip" },
  { magic: "fd377a585a", program: "xz" },
  { magic: "28b52ffd", program: "zstd" },
  { magic: "02214c18", program: "lz4" },
  { magic: "425a68", program: "bzip2" },
  { magic: "5d0000", program: "lzma" },
  { magic: "894c5a4f", program: "lzop" },
];

/** A payload in the clear, as far as it goes; undefined when no program here can undo its compression. */
async function decompress(payload: Buffer): Promise<Buffer | undefined> {
  const start = payload.toString("hex", 0, 8);
  const program = COMPRESSIONS.find(({ magic }) => start.startsWith(magic))?.program;
  if (program === undefined) return undefined;
  const child = spawn(program, ["-dc"], { stdio: ["pipe", "pipe", "ignore"] });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  // The length that the kernel's build appends is garbage to the program: it complains once all is out.
  child.stdin.on("error", () => {});
  child.stdin.end(payload);
  return await new Promise((resolve) => {
    child.once("error", () => resolve(undefined));
    child.once("close", () => resolve(Buffer.concat(chunks)));
  });
}
