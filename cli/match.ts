/** `match`: which driver is the best for a device, by modules.alias. */
import { release } from "node:os";
import type { Command } from "commander";
import type { ExitCode } from "../campaign/results.ts";
import { EXIT_CODE } from "../campaign/results.ts";
import {
  AliasError,
  bestMatch,
  type Candidate,
  lookupName,
  type Match,
  parseAliases,
} from "../model/driver-core/modules-alias.ts";
import { UsageError } from "./errors.ts";
import { readText } from "./files.ts";
import { table } from "./table.ts";

interface MatchOptions {
  readonly modalias: string;
  readonly aliases: string;
  readonly prefix?: string;
  readonly json?: boolean;
}

export function addMatch(program: Command, done: (code: ExitCode) => void): void {
  program
    .command("match")
    .description(
      "find the module that modules.alias has for a device: the alias with the fewest wildcards; exits 1 where none matches, 2 where several are as good",
    )
    .requiredOption("--modalias <text>", "what the device's modalias in sysfs has")
    .option("--aliases <file>", "the kernel's modules.alias", `/lib/modules/${release()}/modules.alias`)
    .option("--prefix <word>", "in place of the modalias's own; vfio_pci: among drivers of VFIO")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
Example:
  $ vfio-conformance match --prefix vfio_pci --modalias "$(cat /sys/bus/pci/devices/0000:06:00.2/modalias)"`,
    )
    .action(async ({ modalias, aliases, prefix, json }: MatchOptions) => {
      const match = await find(modalias, aliases, prefix);
      process.stdout.write(json ? `${JSON.stringify(match, null, 1)}\n` : print(match, aliases));
      done(!match.winner ? EXIT_CODE.differs : match.ties.length > 0 ? EXIT_CODE.tooLittle : EXIT_CODE.conforms);
    });
}

async function find(modalias: string, path: string, prefix?: string): Promise<Match> {
  try {
    return bestMatch(parseAliases(await readText(path)), lookupName(modalias.trim(), prefix));
  } catch (error) {
    if (!(error instanceof AliasError)) throw error;
    throw new UsageError(error.message.startsWith("line ") ? `${path}: ${error.message}` : error.message);
  }
}

function print({ name, winner, ties, losers }: Match, path: string): string {
  if (!winner) return `No alias in ${path} matches ${name}.\n`;
  const lines = [`${winner.module} is the best for ${name}:`, table([row(winner)])];
  if (ties.length > 0) lines.push("Just as good, so that the first of the file was taken:", table(ties.map(row)));
  if (losers.length > 0) lines.push("Not so good, for they leave more open:", table(losers.map(row)));
  return `${lines.join("\n")}\n`;
}

function row({ module, wildcards, pattern, line }: Candidate): string[] {
  return [module, `${wildcards} ${wildcards === 1 ? "wildcard" : "wildcards"}`, pattern, `line ${line}`];
}
