// Kconfig fragments: what a kernel of some version is asked to have, and whether it got it.

import { readFile } from "node:fs/promises";
import { digest } from "./cache.ts";
import { KernelError } from "./errors.ts";
import { compareVersions, type Flavour, type KernelVersion, parseVersion } from "./kernel.ts";

/** One line of a fragment. */
export interface ConfigOption {
  /** With its prefix: `CONFIG_VFIO`. */
  readonly name: string;
  /** As in `.config`; `n` asks that the option is not set. */
  readonly value: string;
  /** The first kernel that has the option. */
  readonly since: KernelVersion | undefined;
  /** The last kernel that has it. */
  readonly until: KernelVersion | undefined;
}

const FRAGMENT_LINE = /^(CONFIG_\w+)=("(?:[^"\\]|\\.)*"|[^\s"#]+)\s*(?:#(.*))?$/;
const NOT_SET = /^# (CONFIG_\w+) is not set$/;

/** Reads a fragment; `origin` names it in the error about a line that is none. */
export function parseFragment(text: string, origin: string): readonly ConfigOption[] {
  return text.split("\n").flatMap((raw, index): ConfigOption[] => {
    const line = raw.trim();
    const off = NOT_SET.exec(line)?.[1];
    if (off !== undefined) return [{ name: off, value: "n", since: undefined, until: undefined }];
    if (line === "" || line.startsWith("#")) return [];
    const [, name, value, comment = ""] = FRAGMENT_LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) {
      throw new KernelError(`${origin}, line ${index + 1}: “${line}” is not of the form CONFIG_NAME=value.`);
    }
    const bound = (word: string) => parseVersion(new RegExp(`\\b${word} (\\S+)`).exec(comment)?.[1] ?? "");
    return [{ name, value, since: bound("since"), until: bound("until") }];
  });
}

/** The options of a flavour for all kernels, followed by `extra` lines, which override what is before them. */
export async function readFragments(flavour: Flavour, extra: readonly string[] = []): Promise<readonly ConfigOption[]> {
  const names = flavour === "debug" ? ["plain.config", "debug.config"] : ["plain.config"];
  const fragments = await Promise.all(
    names.map(async (name) => parseFragment(await readFile(new URL(`config/${name}`, import.meta.url), "utf8"), name)),
  );
  return [...fragments.flat(), ...parseFragment(extra.join("\n"), "the extra options")];
}

/** The options that a kernel of this version has, each once: of two lines about one option the later counts. */
export function selectOptions(options: readonly ConfigOption[], version: KernelVersion): readonly ConfigOption[] {
  const selected = new Map<string, ConfigOption>();
  for (const option of options) {
    if (option.since && compareVersions(version, option.since) < 0) continue;
    if (option.until && compareVersions(version, option.until) > 0) continue;
    selected.set(option.name, option);
  }
  return [...selected.values()];
}

/**
 * What a development tree is offered: its own options, and those of later kernels.
 * Between a release and the next -rc1 a tree has options that its version number does not admit yet;
 * Kconfig passes over those it does not know.
 */
export function offeredOptions(options: readonly ConfigOption[], version: KernelVersion): readonly ConfigOption[] {
  const selected = selectOptions(options, version);
  const known = new Set(selected.map((option) => option.name));
  return [...selected, ...options.filter((option) => option.since && !known.has(option.name))];
}

/** A hash of what is asked for; the order in which it is asked does not count. */
export function digestOptions(options: readonly ConfigOption[]): string {
  return digest(...options.map((option) => formatFragment([option])).sort());
}

/** The file that KCONFIG_ALLCONFIG names. */
export function formatFragment(options: readonly ConfigOption[]): string {
  return options.map(({ name, value }) => (value === "n" ? `# ${name} is not set\n` : `${name}=${value}\n`)).join("");
}

/** Reads a `.config`; options that are "not set" become `n`, strings keep their quotes. */
export function parseConfig(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split("\n").flatMap((line): [string, string][] => {
      const off = NOT_SET.exec(line)?.[1];
      if (off !== undefined) return [[off, "n"]];
      const [, name, value] = /^(CONFIG_\w+)=(.*)$/.exec(line) ?? [];
      return name !== undefined && value !== undefined ? [[name, value]] : [];
    }),
  );
}

/** The options that were asked for and did not come, as lines of a fragment. */
export function missingOptions(asked: readonly ConfigOption[], config: ReadonlyMap<string, string>): readonly string[] {
  return asked
    .filter(({ name, value }) => (config.get(name) ?? "n") !== value)
    .map(({ name, value }) => `${name}=${value}`);
}

/** Throws when something that was asked for did not come. */
export function verifyConfig(
  asked: readonly ConfigOption[],
  config: ReadonlyMap<string, string>,
  kernel: string,
): void {
  const missing = missingOptions(asked, config);
  if (missing.length === 0) return;
  throw new KernelError(
    `Kconfig of ${kernel} did not grant ${missing.join(", ")}: see what these depend on in this kernel and correct the fragment in targets/kernel/config.`,
  );
}
