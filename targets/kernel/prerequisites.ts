// What a kernel build needs of this machine, asked for all at once before anything long begins.

import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { KernelError } from "./errors.ts";
import { run } from "./run.ts";

/** Something the build needs, and the Debian package that brings it. */
export interface Prerequisite {
  readonly kind: "program" | "header";
  readonly name: string;
  readonly package: string;
}

/** Everything that building an x86-64 kernel from Debian's source or a tree takes. */
export const PREREQUISITES: readonly Prerequisite[] = [
  { kind: "program", name: "make", package: "make" },
  { kind: "program", name: "gcc", package: "gcc" },
  { kind: "program", name: "flex", package: "flex" },
  { kind: "program", name: "bison", package: "bison" },
  { kind: "program", name: "bc", package: "bc" },
  { kind: "program", name: "cpio", package: "cpio" },
  { kind: "program", name: "xz", package: "xz-utils" },
  { kind: "header", name: "stdio.h", package: "libc6-dev" },
  { kind: "header", name: "gelf.h", package: "libelf-dev" },
  { kind: "header", name: "openssl/evp.h", package: "libssl-dev" },
];

/** Throws one error that names all that is missing. */
export async function requirePrerequisites(signal: AbortSignal): Promise<void> {
  if (process.arch !== "x64") {
    throw new KernelError("kernels are built on x86-64 only: give a finished kernel with --kernel bzImage.");
  }
  const compiler = await hasProgram("gcc");
  const missing: Prerequisite[] = [];
  for (const wanted of PREREQUISITES) {
    // Without a compiler no header can be looked for; then it counts as there, as it may well be.
    const found =
      wanted.kind === "program" ? await hasProgram(wanted.name) : !compiler || (await hasHeader(wanted.name, signal));
    if (!found) missing.push(wanted);
  }
  if (missing.length > 0) throw new KernelError(missingSentence(missing, await hasProgram("apt-get")));
}

/** The sentence about what is missing, with the one command that brings it where that command exists. */
export function missingSentence(missing: readonly Prerequisite[], apt: boolean): string {
  const names = missing.map(({ name }) => name);
  const list = names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names.join("");
  const remedy = apt
    ? `run “apt-get install ${missing.map((wanted) => wanted.package).join(" ")}” as root`
    : "install what brings them";
  return `building a kernel needs ${list}, not found here: ${remedy}, or give a finished kernel with --kernel bzImage.`;
}

/** The compiler's name and version, in one line; another compiler makes another kernel. */
export async function compilerVersion(signal: AbortSignal): Promise<string> {
  if (!(await hasProgram("gcc"))) await requirePrerequisites(signal);
  const { stdout } = await run("gcc", ["--version"], { signal });
  return stdout[0] ?? "gcc";
}

async function hasProgram(name: string): Promise<boolean> {
  const { PATH: path = "" } = process.env;
  for (const directory of path.split(delimiter)) {
    const found = await access(join(directory, name), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}

async function hasHeader(name: string, signal: AbortSignal): Promise<boolean> {
  return (await run("gcc", ["-E", "-include", name, "-x", "c", "/dev/null"], { signal })).status === 0;
}
