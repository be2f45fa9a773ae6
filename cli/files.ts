/** Files that are named on the command line. */
import { readFile } from "node:fs/promises";
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

/** The results in a file. */
export async function readResults(path: string): Promise<Results> {
  return parseResults(await readText(path), path);
}
