/** `bench`: how fast the suite is on this machine. */
import type { Command } from "commander";
import { EXIT_CODE, type ExitCode } from "../campaign/results.ts";
import { Interrupt } from "./interrupt.ts";
import { parseDuration } from "./values.ts";

interface BenchOptions {
  readonly time?: number;
  readonly kernel?: string;
}

export function addBench(program: Command, done: (code: ExitCode) => void): void {
  program
    .command("bench")
    .description("measure calls a second on the model, and on a kernel")
    .option("--time <time>", "for each measurement, such as 5s", parseDuration)
    .option("--kernel <version>", "measure this release in QEMU as well")
    .action(async ({ time, kernel }: BenchOptions) => {
      using interrupt = new Interrupt((text) => process.stderr.write(text));
      const { signal } = interrupt;
      // Nobody else needs the benchmarks.
      const { runBench } = await import("../campaign/bench.ts");
      const options = { ...(time === undefined ? {} : { seconds: time }), ...(kernel === undefined ? {} : { kernel }) };
      for await (const line of runBench({ ...options, signal })) {
        process.stdout.write(`${line}\n`);
        await new Promise(setImmediate);
        signal.throwIfAborted();
      }
      done(EXIT_CODE.conforms);
    });
}
