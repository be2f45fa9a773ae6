/**
 * Program files: programs as JSON, a call on each line. What a file says is checked to the last field before anything is
 * made of it, because a program that is misread shows something else than what its author saw.
 *
 * Numbers that may not fit 53 bits stand as "0x…", handles as "@name".
 */
import { z } from "zod";
import type { Program } from "../program.ts";
import { checkProgram } from "./check-program.ts";
import { ProgramFileError } from "./program-file-error.ts";
import { programBody } from "./program-schema.ts";
import { wideAsText } from "./wide.ts";

export { ProgramFileError } from "./program-file-error.ts";

export const PROGRAM_FORMAT = "vfio-conformance/program";
export const PROGRAM_VERSION = 1;

const envelope = z.object({ format: z.string(), version: z.number() });
const file = programBody.extend({ format: z.literal(PROGRAM_FORMAT), version: z.literal(PROGRAM_VERSION) });

/** Reads a program file. Throws ProgramFileError, whose message begins with `nameForErrors`. */
export function parseProgram(text: string, nameForErrors: string): Program {
  const json = parseJson(text, nameForErrors);
  checkEnvelope(json, nameForErrors);
  const parsed = file.safeParse(json);
  if (!parsed.success) throw new ProgramFileError(`${nameForErrors}: ${firstIssue(parsed.error)}.`);
  const { machine, calls } = parsed.data;
  const program: Program = { machine, calls };
  const wrong = checkProgram(program);
  if (wrong) throw new ProgramFileError(`${nameForErrors}: ${wrong}.`);
  return program;
}

/** The text of a program file. */
export function formatProgram({ machine, calls }: Program): string {
  const lines = calls.map((call) => `    ${onOneLine(call)}`);
  const list = lines.length > 0 ? `[\n${lines.join(",\n")}\n  ]` : "[]";
  return `{
  "format": ${JSON.stringify(PROGRAM_FORMAT)},
  "version": ${PROGRAM_VERSION},
  "machine": ${JSON.stringify(machine)},
  "calls": ${list}
}
`;
}

/** JSON's own newlines are the only ones: those inside of text are escaped. */
function onOneLine(value: unknown): string {
  return JSON.stringify(value, wideAsText, 1).replace(/\n\s*/g, " ");
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ProgramFileError(`${name} is no JSON: ${why}.`, { cause });
  }
}

function checkEnvelope(json: unknown, name: string): void {
  const { success, data } = envelope.safeParse(json);
  if (!success || data.format !== PROGRAM_FORMAT) {
    throw new ProgramFileError(`${name} is no program file: it must say "format": "${PROGRAM_FORMAT}" and a version.`);
  }
  if (data.version === PROGRAM_VERSION) return;
  const advice = data.version > PROGRAM_VERSION ? "use a newer suite" : "use the suite that wrote it";
  throw new ProgramFileError(
    `${name} has version ${data.version} of the program format, this suite reads version ${PROGRAM_VERSION}: ${advice}.`,
  );
}

/** `call 3, arg.struct.fields.argsz: …` for the first thing that is wrong. Calls count from 0. */
function firstIssue({ issues }: z.ZodError): string {
  const [issue] = issues;
  if (!issue) return "it is not what a program file looks like";
  const [first, second, ...rest] = issue.path.map(String);
  const what = lowerFirst(issue.message.replace(/\.$/, ""));
  if (first === "calls" && second !== undefined) {
    return rest.length > 0 ? `call ${second}, ${rest.join(".")}: ${what}` : `call ${second}: ${what}`;
  }
  return first === undefined ? what : `${[first, second, ...rest].filter(Boolean).join(".")}: ${what}`;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
