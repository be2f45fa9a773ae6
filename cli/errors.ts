/** How the command line ends: every error becomes one sentence on stderr and an exit code, here and nowhere else. */
import { CommanderError } from "commander";
import { DeviationFileError } from "../campaign/deviation-file.ts";
import { EXIT_CODE, type ExitCode } from "../campaign/results.ts";
import { ProgramFileError } from "../model/format/program-file.ts";
import { ResultsFileError } from "../reports/json.ts";
import { ReportError } from "../reports/write.ts";
import { AgentCompileError } from "../targets/agent/compile.ts";
import { TargetLost } from "../targets/agent/connection.ts";
import { KernelError } from "../targets/kernel/errors.ts";
import { BootError } from "../targets/qemu/boot.ts";
import { InitramfsError } from "../targets/qemu/initramfs.ts";
import { SurveyError } from "../targets/qemu/survey.ts";
import { TargetError } from "../targets/target.ts";

/** Options or arguments that can't be what was meant; the message is one sentence that says what to do. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The user, or whoever runs the suite, asked it to end. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** Errors whose message is all that a user needs. */
const EXPECTED = [
  UsageError,
  Interrupted,
  TargetError,
  TargetLost,
  KernelError,
  BootError,
  SurveyError,
  InitramfsError,
  AgentCompileError,
  DeviationFileError,
  ProgramFileError,
  ResultsFileError,
  ReportError,
] as const;

/** Tells an error on stderr, and gives the exit code that it stands for. */
export function report(error: unknown, write: (text: string) => void): ExitCode {
  // Help and version are asked for; what commander has to say of bad options it has said already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CODE.conforms : EXIT_CODE.broken;
  const message = error instanceof Error ? error.message : String(error);
  if (EXPECTED.some((expected) => error instanceof expected)) {
    write(`${message}\n`);
    if (error instanceof KernelError) for (const line of error.detail) write(`  ${line}\n`);
  } else {
    const stack = error instanceof Error ? (error.stack ?? message) : message;
    write(`The suite itself failed; this is a bug in it.\n${stack}\n`);
  }
  return EXIT_CODE.broken;
}
