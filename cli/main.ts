/** The command line: commands, and the one place that ends them. */
import { Command } from "commander";
import { suiteVersion } from "../campaign/assemble.ts";
import { EXIT_CODE, type ExitCode } from "../campaign/results.ts";
import { addBench } from "./bench.ts";
import { addCompare } from "./compare.ts";
import { report } from "./errors.ts";
import { addExplain } from "./explain.ts";
import { addKernel } from "./kernel.ts";
import { addList } from "./list.ts";
import { addMatch } from "./match.ts";
import { addReplay } from "./replay.ts";
import { addRun } from "./run.ts";

const START = `
Begin with:
  $ vfio-conformance run                      check the model itself: needs nothing, takes half a minute
  $ vfio-conformance run --kernel 7.2         a real kernel in QEMU; it is built when first asked for
  $ vfio-conformance replay FILE --kernel 7.2 one program, call by call
  $ vfio-conformance explain VFIO-CDEV-BIND-4 what a rule says, and where it is from

Exit code: 0 conforms, 1 differs, 2 too little was exercised, 3 the suite or the target broke.`;

/** Runs the command line `args` names, and gives the exit code. */
export async function main(args: readonly string[]): Promise<ExitCode> {
  let code: ExitCode = EXIT_CODE.conforms;
  const write = (text: string): void => {
    process.stderr.write(text);
  };
  try {
    await program((ended) => {
      code = ended;
    }).parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    return report(error, write);
  }
}

function program(done: (code: ExitCode) => void): Command {
  const command = new Command("vfio-conformance")
    .description("Checks that a kernel's VFIO, iommufd, mdev and kvm-vfio interfaces answer as they should.")
    .version(suiteVersion())
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(sentence(text)) })
    .showSuggestionAfterError()
    .addHelpText("after", START);
  addRun(command, done);
  addReplay(command, done);
  addList(command, done);
  addExplain(command, done);
  addCompare(command, done);
  addMatch(command, done);
  addKernel(command, done);
  addBench(command, done);
  return command;
}

/** What commander has to say of bad options, as a sentence: `error: unknown option '--x'` → `Unknown option '--x'.` */
function sentence(text: string): string {
  const plain = text
    .replace(/^error: /, "")
    .replaceAll(/\s+/g, " ")
    .trim();
  const capital = plain.charAt(0).toUpperCase() + plain.slice(1);
  return `${/[.?)]$/.test(capital) ? capital : `${capital}.`}\n`;
}
