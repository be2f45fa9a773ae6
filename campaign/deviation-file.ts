/**
 * Deviation files: differences that a user has looked into and keeps on record for a kernel of his own, as JSON. They are
 * counted as known instead of being findings. A program is not compared any further once it has met one, because the file
 * does not say what else the kernel did.
 */
import { z } from "zod";
import type { Call } from "../model/program.ts";
import { ERRNO, errnoName } from "../model/uapi/errno.ts";
import { inRange, type Version, versionNumber } from "../model/uapi/version.ts";
import type { Verdict } from "./judge.ts";

export const DEVIATIONS_FORMAT = "vfio-conformance/deviations";
export const DEVIATIONS_VERSION = 1;

/** What is wrong with a deviation file, in one sentence. */
export class DeviationFileError extends Error {
  override readonly name = "DeviationFileError";
}

const version = z.templateLiteral([z.number(), ".", z.number()]);
/** An errno's name, or "ok" for whatever is no error. */
const ending = z.union([z.literal("ok"), z.enum(Object.keys(ERRNO))]);

const recorded = z.strictObject({
  id: z.string().regex(/^[a-z0-9][a-z0-9-]*$/, { error: "expected lower-case letters, digits and dashes" }),
  title: z.string().min(1),
  since: version,
  until: z.exactOptional(version),
  /** The call as findings name it: an ioctl's name, `mmap`, `open of the group node`, … */
  call: z.string().min(1),
  /** How the call must end, and how this kernel ends it. */
  expected: ending,
  observed: ending,
  /** The clause that was to decide, where only that one is meant. */
  clause: z.exactOptional(z.string()),
  /** Upstream's word on it. */
  upstream: z.string(),
});

const envelope = z.object({ format: z.string(), version: z.number() });
const file = z.strictObject({
  format: z.literal(DEVIATIONS_FORMAT),
  version: z.literal(DEVIATIONS_VERSION),
  deviations: z.array(recorded),
});

/** A difference on record. */
export type RecordedDeviation = z.infer<typeof recorded>;

/** Reads a deviation file. Throws DeviationFileError, whose message begins with `name`. */
export function parseDeviations(text: string, name: string): RecordedDeviation[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new DeviationFileError(`${name} is no JSON: ${cause instanceof Error ? cause.message : cause}.`, { cause });
  }
  const head = envelope.safeParse(json);
  if (!head.success || head.data.format !== DEVIATIONS_FORMAT) {
    throw new DeviationFileError(`${name} is no deviation file: its "format" must be "${DEVIATIONS_FORMAT}".`);
  }
  if (head.data.version !== DEVIATIONS_VERSION) {
    throw new DeviationFileError(
      `${name} is a deviation file of version ${head.data.version}; this suite reads version ${DEVIATIONS_VERSION}.`,
    );
  }
  const parsed = file.safeParse(json);
  if (parsed.success) return parsed.data.deviations;
  const [issue] = parsed.error.issues;
  throw new DeviationFileError(`${name}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "is not understood"}.`);
}

/** The record that a difference in a call's result is on, for a kernel of this version; undefined where it is on none. */
export function onRecord(
  records: readonly RecordedDeviation[],
  verdict: Verdict,
  call: Call | undefined,
  name: (call: Call | undefined) => string,
  kernel: Version,
): RecordedDeviation | undefined {
  if (verdict.kind !== "differs" || verdict.part !== "result") return undefined;
  const own = versionNumber(kernel);
  return records.find(
    (record) =>
      record.call === name(call) &&
      record.expected === endingOf(verdict.expected.ret) &&
      record.observed === endingOf(verdict.observed.ret) &&
      (record.clause === undefined || record.clause === verdict.expected.clause) &&
      inRange(own, record),
  );
}

function endingOf(ret: number): string {
  return ret < 0 ? errnoName(-ret) : "ok";
}
