/** `bench`: how fast the suite is on this machine. */
import type { Command } from "commander";
import { EXIT_CODE, type ExitCode } from "../campaign/results.ts";
import { parseDuration } from "./values.ts";

interface BenchOptions {
  readonly time?: number;
  readonly kernel?: string;
}

export function addBench(program: Command, done: (code: ExitCode) => void): void {
  program
    .command("bench")
    .description("measure programs and calls a second on the model, and on a kernel")
    .option("--time <time>", "for each measurement, such as 5s", parseDuration)
    .option("--kernel <version>", "measure this kernel in QEMU as well")
    .action(async ({ time, kernel }: BenchOptions) => {
      const { runBench } = await import("../campaign/bench.ts");
      const options = { ...(time === undefined ? {} : { seconds: time }), ...(kernel === undefined ? {} : { kernel }) };
      for await (const line of runBench(options)) process.stdout.write(`${line}\n`);
      done(EXIT_CODE.conforms);
    });
}
