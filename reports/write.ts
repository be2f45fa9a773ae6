/** Writes every report of a run into a directory: each file is whole or not there. */
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Finding, Results } from "../campaign/results.ts";
import { formatProgram } from "../model/format/program-file.ts";
import { toHtml } from "./html.ts";
import { formatResults, parseResults } from "./json.ts";
import { toJunit } from "./junit.ts";
import { toKtap } from "./ktap.ts";
import { toMarkdown } from "./markdown.ts";
import { type ExpectationsOf, expectationsFrom, reproducerC, reproducerKselftest } from "./reproducer.ts";
import { allFindings, listingText } from "./verdict.ts";

export const DEFAULT_DIRECTORY = "reports/out";

/** Reports could not be written; the message is one sentence that says why, and what to do. */
export class ReportError extends Error {
  override readonly name = "ReportError";
}

export interface WriteOptions {
  /** Where the reports go; made where it is not there. */
  readonly directory?: string;
  /** What is right for the calls of a finding, where it is known better than by asking the model again. */
  readonly expectations?: ExpectationsOf;
}

/**
 * Writes results.json, report.html, junit.xml, report.ktap, report.md and, for each finding, its program as JSON, as a
 * listing, as C and as a kselftest. Gives the paths. Throws ReportError; what was written until then stays.
 */
export async function writeReports(results: Results, options: WriteOptions = {}): Promise<string[]> {
  const { directory = DEFAULT_DIRECTORY, expectations = expectationsFrom(results) } = options;
  const written: string[] = [];
  const write = async (name: string, text: string): Promise<void> => {
    const target = path.join(directory, name);
    await writeWhole(target, text);
    written.push(target);
  };
  await forgetEarlier(directory);
  // The results first: everything else can be made from them again.
  await write("results.json", formatResults(results));
  for (const { findings } of results.properties) {
    for (const finding of findings) {
      for (const [ending, text] of filesOf(finding, results, expectations)) {
        await write(path.join("findings", `${finding.id}${ending}`), text);
      }
    }
  }
  await write("report.md", toMarkdown(results));
  await write("report.ktap", toKtap(results));
  await write("junit.xml", toJunit(results));
  await write("report.html", toHtml(results, expectations));
  return written;
}

const ENDINGS = [".json", ".txt", ".c", ".kselftest.c"] as const;
type Ending = (typeof ENDINGS)[number];

function filesOf(finding: Finding, results: Results, expectations: ExpectationsOf): [ending: Ending, text: string][] {
  return [
    [".json", formatProgram(finding.program)],
    [".txt", `${finding.what}\n\n${listingText(finding)}\n`],
    [".c", reproducerC(finding, results, expectations)],
    [".kselftest.c", reproducerKselftest(finding, results, expectations)],
  ];
}

/** Findings of an earlier run must not be taken for those of this one. Only files that its results name are removed. */
async function forgetEarlier(directory: string): Promise<void> {
  for (const { id } of await earlierFindings(path.join(directory, "results.json"))) {
    for (const ending of ENDINGS) await rm(path.join(directory, "findings", `${id}${ending}`), { force: true });
  }
}

async function earlierFindings(file: string): Promise<Finding[]> {
  try {
    return allFindings(parseResults(await readFile(file, "utf8"), file));
  } catch {
    return [];
  }
}

async function writeWhole(target: string, text: string): Promise<void> {
  const unfinished = `${target}.${process.pid}.tmp`;
  try {
    await makeDirectory(path.dirname(target));
    await writeFile(unfinished, text);
    await rename(unfinished, target);
  } catch (cause) {
    await rm(unfinished, { force: true }).catch(() => {});
    throw new ReportError(`${target} can't be written: ${reason(cause)}.`, { cause });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full; make room or name another directory",
  EDQUOT: "the disk quota is used up; make room or name another directory",
  EACCES: "permission is denied; name another directory",
  EPERM: "permission is denied; name another directory",
  EROFS: "the file system is read-only; name another directory",
  ENOTDIR: "a part of the path is no directory; name another directory",
  EEXIST: "a part of the path is no directory; name another directory",
  EISDIR: "there is a directory of that name; remove it or name another directory",
};

function reason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
  return REASONS[code] ?? cause.message;
}

/**
 * Makes a directory and those above it, one by one: mkdir's own `recursive` never ends where a parent is there and can't
 * be given children, such as /proc.
 */
async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "EEXIST") return;
    if (code !== "ENOENT" || path.dirname(directory) === directory) throw cause;
    await makeDirectory(path.dirname(directory));
    await mkdir(directory);
  }
}
