/** `bench`: how fast the suite is on this machine. */
import type { Command } from "commander";
import { EXIT_CODE, type ExitCode } from "../campaign/results.ts";
import { AgentTarget } from "../targets/on-agent.ts";
import { UsageError } from "./errors.ts";
import { Interrupt } from "./interrupt.ts";
import { openProgress } from "./progress.ts";
import { addTargetOptions, chooseTarget, startTarget, type TargetOptions } from "./target-options.ts";

const EXAMPLES = `
Examples:
  $ vfio-conformance bench                 the model
  $ vfio-conformance bench --kernel 7.2    a kernel in QEMU`;

export function addBench(program: Command, done: (code: ExitCode) => void): void {
  addTargetOptions(program.command("bench"))
    .description("measure calls a second on the model, or on a kernel in QEMU")
    .addHelpText("after", EXAMPLES)
    .action(async (options: TargetOptions) => {
      await bench(options);
      done(EXIT_CODE.conforms);
    });
}

async function bench(options: TargetOptions): Promise<void> {
  const choice = chooseTarget(options);
  if (choice.kind === "host") throw new UsageError("Measurements are of the model, or of a kernel in QEMU.");
  // Nobody else needs the benchmarks.
  const { benchModel, benchTarget } = await import("../campaign/bench.ts");
  if (choice.kind === "model") {
    for (const line of benchModel()) process.stdout.write(`${line}\n`);
    return;
  }
  using interrupt = new Interrupt((text) => process.stderr.write(text));
  await using target = await startTarget(choice, {
    progress: openProgress(process.stderr),
    signal: interrupt.signal,
  });
  if (!(target instanceof AgentTarget)) throw new Error("a kernel in QEMU is not reached through an agent");
  for await (const line of benchTarget(target)) {
    process.stdout.write(`${line}\n`);
    interrupt.signal.throwIfAborted();
  }
}
