/** Files that are named on the command line. */
import { readFile, writeFile } from "node:fs/promises";
import type { Results } from "../campaign/results.ts";
import { parseResults } from "../reports/json.ts";
import { UsageError } from "./errors.ts";

/** The text of a file; UsageError where it can't be read. */
export async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    throw new UsageError(code === "ENOENT" ? `There is no file ${path}.` : `${path} can't be read (${code}).`, {
      cause,
    });
  }
}

/** Writes text to a file that was named; UsageError where that can't be done. */
export async function writeText(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    throw new UsageError(`${path} can't be written (${code}); name another file.`, { cause });
  }
}

/** The results in a file. */
export async function readResults(path: string): Promise<Results> {
  return parseResults(await readText(path), path);
}
