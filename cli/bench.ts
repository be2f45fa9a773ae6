/** `bench`: how fast the suite is on this machine, and how soon it catches faults. */
import { Argument, type Command } from "commander";
import { EXIT_CODE, type ExitCode } from "../campaign/results.ts";
import { Interrupt } from "./interrupt.ts";
import { parseDuration } from "./values.ts";

interface BenchOptions {
  readonly time?: number;
  readonly kernel?: string;
}

/** Seeds that each fault is hunted with. */
const HUNTS = 10;

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

/** A line for each fault; one that is not caught with every seed makes the run fail. */
async function benchFaults(signal: AbortSignal): Promise<ExitCode> {
  const { benchFault, HUNT_BUDGET, printFaultRow } = await import("../campaign/bench-faults.ts");
  const { FAULTS } = await import("../scenarios/faults/all.ts");
  const { isHistorical } = await import("../scenarios/faults/fault.ts");
  const width = Math.max(...FAULTS.map(({ id }) => id.length));
  const began = performance.now();
  let missed = 0;
  await print(
    `Programs until a fault is caught: the median of ${HUNTS} seeds (least–most), what tells of it, [where]`,
    signal,
  );
  for (const fault of FAULTS) {
    const row = benchFault(fault, HUNTS);
    missed += row.hunts - row.caught;
    await print(printFaultRow(row, width), signal);
  }
  const hunts = HUNTS * FAULTS.length;
  const seconds = Math.round((performance.now() - began) / 1000);
  await print(
    `${FAULTS.length} faults, ${FAULTS.filter(isHistorical).length} of them from the history of Linux: ${hunts - missed} of ${hunts} hunts of at most ${HUNT_BUDGET} programs caught theirs, in ${seconds} s`,
    signal,
  );
  return missed === 0 ? EXIT_CODE.conforms : EXIT_CODE.differs;
}

async function print(line: string, signal: AbortSignal): Promise<void> {
  process.stdout.write(`${line}\n`);
  await new Promise(setImmediate);
  signal.throwIfAborted();
}
