/** `compare`: two results side by side. */
import type { Command } from "commander";
import { EXIT_CODE, type ExitCode } from "../campaign/results.ts";
import { compareResults, printComparison } from "../reports/compare.ts";
import { readResults } from "./files.ts";

export function addCompare(program: Command, done: (code: ExitCode) => void): void {
  program
    .command("compare")
    .description("compare two results.json: what appeared, what went away; exits 1 where something appeared")
    .argument("<before>", "results.json of the earlier run")
    .argument("<after>", "results.json of the later run")
    .addHelpText("after", "\nExample:\n  $ vfio-conformance compare 6.12/results.json 7.2/results.json")
    .action(async (before: string, after: string) => {
      const [old, now] = [await readResults(before), await readResults(after)];
      process.stdout.write(printComparison(old, now));
      done(compareResults(old, now).appeared.length > 0 ? EXIT_CODE.differs : EXIT_CODE.conforms);
    });
}
