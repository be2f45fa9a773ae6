// What can be asked for, what comes back, and how the way there is told.

import type { Variant } from "../../model/kconfig.ts";

/** A kernel's version as far as the uAPI cares: 6.12.95 is `{ major: 6, minor: 12 }`. */
export interface KernelVersion {
  readonly major: number;
  readonly minor: number;
}

/** `plain` is small and fast; `debug` adds lockdep, KASAN, UBSAN and kmemleak, whose log is an oracle. */
export type Flavour = "plain" | "debug";

/** A kernel to test. */
export type KernelRequest =
  /** Debian's source package `linux-source-<version>`, built here once. `extra` holds lines that override the flavour. */
  | {
      readonly kind: "release";
      readonly version: string;
      readonly flavour: Flavour;
      /** Other ways in than the flavour has. */
      readonly kconfig?: Variant;
      readonly extra?: readonly string[];
    }
  /** A source tree of the user's, built beside the cache and never written to. */
  | {
      readonly kind: "tree";
      readonly directory: string;
      readonly flavour: Flavour;
      /** Other ways in than the flavour has. */
      readonly kconfig?: Variant;
      readonly extra?: readonly string[];
    }
  /** A finished bzImage. Without `configPath` its configuration is looked for beside and inside it. */
  | {
      readonly kind: "image";
      readonly path: string;
      readonly configPath?: string;
      readonly modules?: readonly string[];
    };

/** A kernel that can be booted. Paths are absolute. */
export interface Kernel {
  /** For people: `7.2 debug`. */
  readonly name: string;
  /** What `uname -r` will say. */
  readonly release: string;
  readonly version: KernelVersion;
  readonly flavour: Flavour;
  readonly bzImage: string;
  /** The `.ko` files, in the order in which they were built. */
  readonly modules: readonly string[];
  /** The parsed `.config`: `CONFIG_VFIO` → `y`; options that are "not set" are `n`. */
  readonly config: ReadonlyMap<string, string>;
  /** The package version, `git describe` of a tree, or the release of an image. */
  readonly sourceVersion: string;
  /** Differs whenever the kernel differs; fit for a file name. */
  readonly key: string;
}

export type KernelStage = "resolve" | "wait" | "download" | "unpack" | "configure" | "build" | "store" | "note";

/** One step on the way to a kernel. `note` is something the user should read, the others come and go. */
export interface KernelProgress {
  /** The kernel it is about, as in `Kernel.name`. */
  readonly kernel: string;
  readonly stage: KernelStage;
  /** From 0 to 1, where it can be known. */
  readonly fraction?: number;
  /** What is happening, or what to know. */
  readonly line?: string;
}

export type ReportProgress = (event: KernelProgress) => void;

/** Reads `6.12`, `6.12.95` or `7.0.0-rc3+`; undefined when the text does not begin with a version. */
export function parseVersion(text: string): KernelVersion | undefined {
  const match = /^(\d+)\.(\d+)(?![\d])/.exec(text);
  return match ? { major: Number(match[1]), minor: Number(match[2]) } : undefined;
}

/** Negative, zero or positive, as `a` is older than, equal to or newer than `b`. */
export function compareVersions(a: KernelVersion, b: KernelVersion): number {
  return a.major - b.major || a.minor - b.minor;
}

/** How a request is called before its kernel exists. */
export function requestName(request: KernelRequest): string {
  switch (request.kind) {
    case "release":
      return [request.version, ...recipeOf(request)].join(" ");
    case "tree":
      return [request.directory, ...recipeOf(request)].join(" ");
    case "image":
      return request.path;
  }
}

function recipeOf({ flavour, kconfig, extra = [] }: Exclude<KernelRequest, { readonly kind: "image" }>): string[] {
  return [flavour, ...(kconfig ? [kconfig] : []), ...extra];
}
