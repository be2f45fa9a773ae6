/** `bench`: how fast the suite is on this machine, and how soon it catches faults. */
import { Argument, type Command } from "commander";
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
    .description("measure calls a second on the model, and on a kernel; or how soon faults are caught")
    .addArgument(
      new Argument("[what]", "faults: programs until each fault is caught")
        .choices(["speed", "faults"])
        .default("speed"),
    )
    .option("--time <time>", "for each measurement of speed, such as 5s", parseDuration)
    .option("--kernel <version>", "measure the speed of this release in QEMU as well")
    .action(async (what: string, options: BenchOptions) => {
      using interrupt = new Interrupt((text) => process.stderr.write(text));
      const { signal } = interrupt;
      done(what === "faults" ? await benchFaults(signal) : await benchSpeed(options, signal));
    });
}

async function benchSpeed({ time, kernel }: BenchOptions, signal: AbortSignal): Promise<ExitCode> {
  // Nobody else needs the benchmarks.
  const { runBench } = await import("../campaign/bench.ts");
  const options = { ...(time === undefined ? {} : { seconds: time }), ...(kernel === undefined ? {} : { kernel }) };
  for await (const line of runBench({ ...options, signal })) await print(line, signal);
  return EXIT_CODE.conforms;
}

/** One fault that is not caught with every seed makes the run fail. */
async function benchFaults(signal: AbortSignal): Promise<ExitCode> {
  const bench = await import("../campaign/bench-faults.ts");
  const { FAULTS } = await import("../scenarios/faults/all.ts");
  const lines = bench.benchFaults(FAULTS);
  for (;;) {
    const { value, done } = lines.next();
    if (done) return value === 0 ? EXIT_CODE.conforms : EXIT_CODE.differs;
    await print(value, signal);
  }
}

async function print(line: string, signal: AbortSignal): Promise<void> {
  process.stdout.write(`${line}\n`);
  await new Promise(setImmediate);
  signal.throwIfAborted();
}
