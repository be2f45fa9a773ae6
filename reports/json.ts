/**
 * results.json: results as they are, to be reported again, compared, or judged by a better model. What is read is checked
 * to the last field; a file of another version is refused.
 */
import { z } from "zod";
import { type FindingKind, RESULTS_FORMAT, RESULTS_VERSION, type Results } from "../campaign/results.ts";
import { checkProgram } from "../model/format/check-program.ts";
import { programBody } from "../model/format/program-schema.ts";
import { wideAsText, wideNumber } from "../model/format/wide.ts";
import type { Topology } from "../model/topology.ts";
import type { TargetAbout } from "../targets/target.ts";

/** A file that holds no results, or some that this suite can't read; the message is one sentence that says what to do. */
export class ResultsFileError extends Error {
  override readonly name = "ResultsFileError";
}

/** The text of results.json. */
export function formatResults(results: Results): string {
  return `${JSON.stringify(results, wideAsText, 1)}\n`;
}

/** Reads results.json. Throws ResultsFileError, whose message begins with `nameForErrors`. */
export function parseResults(text: string, nameForErrors: string): Results {
  const json = parseJson(text, nameForErrors);
  checkEnvelope(json, nameForErrors);
  const parsed = resultsSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = issue?.path.join(".") ?? "";
    throw new ResultsFileError(
      `${nameForErrors} can't be read at ${where || "its top"}: ${issue?.message ?? "bad value"}.`,
    );
  }
  for (const { findings } of parsed.data.properties) {
    for (const { id, program } of findings) {
      const wrong = checkProgram(program);
      if (wrong) throw new ResultsFileError(`${nameForErrors}: in the program of finding ${id}, ${wrong}.`);
    }
  }
  return parsed.data;
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ResultsFileError(`${name} is no JSON: ${why}.`, { cause });
  }
}

function checkEnvelope(json: unknown, name: string): void {
  const { success, data } = z.object({ format: z.literal(RESULTS_FORMAT), version: z.number() }).safeParse(json);
  if (!success) throw new ResultsFileError(`${name} holds no results: it must say "format": "${RESULTS_FORMAT}".`);
  if (data.version === RESULTS_VERSION) return;
  const advice = data.version > RESULTS_VERSION ? "use a newer suite" : "use the suite that wrote it";
  throw new ResultsFileError(
    `${name} has version ${data.version} of the results format, this suite reads version ${RESULTS_VERSION}: ${advice}.`,
  );
}

const version = z.templateLiteral([z.number(), ".", z.number()]);
const count = z.int().min(0);
const bar = z.strictObject({ size: z.number(), memory: z.boolean(), mappable: z.boolean() });

const functionId = z.strictObject({ vendor: count, device: count, subvendor: count, subdevice: count, class: count });

const functionSpec = z.strictObject({
  name: z.string(),
  address: z.string(),
  segment: count,
  bus: count,
  devfn: count,
  vendor: count,
  device: count,
  class: count,
  group: z.int(),
  resettable: z.boolean(),
  resetScope: z.string().nullable(),
  hotResetWorks: z.boolean(),
  bars: z.array(bar.nullable()),
  romImage: z.boolean(),
  rom: z.string().nullable().default(null),
  configSize: count,
  express: z.boolean(),
  // Not in files from before configuration space was looked at.
  config: z.string().default(""),
  totalVfs: count.default(0),
  physicalFunction: z.string().nullable().default(null),
  configKeeps: z.string().nullable().default(null),
  vga: z.boolean(),
  intx: z.boolean(),
  msi: count,
  msix: count,
  msixBar: z.int(),
  nativeDriver: z.string().nullable(),
  reservedRegions: z.array(z.strictObject({ start: wideNumber, last: wideNumber })),
  apertureBits: count,
  // Of Intel's IOMMU, in files from before it was looked at.
  pageSizes: wideNumber.default(0x4020_1000n),
  atomics: count.nullable(),
});

const topology: z.ZodType<Topology> = z.strictObject({
  name: z.string(),
  functions: z.array(functionSpec),
  bridges: z.array(
    z.strictObject({
      address: z.string(),
      group: z.int(),
      resetScope: z.string().nullable(),
      scopeBehind: z.string().nullable(),
      // Not in files from before ids were added to drivers.
      id: functionId.nullable().default(null),
      bound: z.boolean().default(false),
    }),
  ),
  drivers: z.array(z.string()),
  wholeBus: z.boolean().default(false),
  managed: z.array(z.strictObject({ function: z.string(), manager: z.string() })).default([]),
  mdevParents: z.array(z.string()),
  mdevs: z.array(
    z.strictObject({
      name: z.string(),
      uuid: z.string(),
      standing: z.strictObject({ parent: z.string(), type: z.string() }).nullable(),
    }),
  ),
  workQueues: z.exactOptional(
    z.array(
      z.strictObject({
        name: z.string(),
        mode: z.enum(["dedicated", "shared"]),
        type: z.enum(["none", "kernel", "user", "mdev"]),
        enabled: z.boolean(),
        size: count,
        threshold: count,
        priority: count,
        maxTransferShift: count,
        maxBatchShift: count,
        blockOnFault: z.boolean(),
      }),
    ),
  ),
  iommu: z.boolean(),
  vtd: z.strictObject({ cap: wideNumber, ecap: wideNumber }).nullable().default(null),
  noiommu: z.boolean(),
  nesting: z.boolean(),
  kvm: z.boolean(),
  sriov: z.boolean().default(false),
  noFailNth: z.string().nullable().default(null),
  dmaEntryLimit: count.default(65535),
});

const target: z.ZodType<TargetAbout> = z.strictObject({
  kind: z.enum(["model", "qemu", "host"]),
  name: z.string(),
  release: z.exactOptional(z.string()),
  flavour: z.exactOptional(z.string()),
  version,
  kconfig: z.array(z.string()),
  notes: z.array(z.string()),
});

const kind: z.ZodType<FindingKind> = z.enum(["difference", "invariant", "log", "leak", "hang", "died"]);

const finding = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, { error: "expected an id that can be a file's name" }),
  kind,
  what: z.string(),
  rule: z.string().nullable(),
  by: z.string(),
  seed: z.int(),
  path: z.string(),
  program: programBody,
  originalCalls: count,
  at: count,
  listing: z.array(
    z.strictObject({
      call: z.string(),
      observed: z.string().nullable(),
      expected: z.string().nullable(),
      clause: z.string().nullable(),
    }),
  ),
  log: z.string(),
  reproduced: z.boolean(),
  times: count,
});

const property = z.strictObject({
  id: z.string(),
  title: z.string(),
  kind: z.enum(["property", "scenario"]),
  programs: count,
  calls: count,
  seconds: z.number(),
  goals: z.array(z.strictObject({ id: z.string(), title: z.string(), reached: count, attainable: z.boolean() })),
  findings: z.array(finding),
  known: z.array(z.strictObject({ id: z.string(), programs: count })),
  notComparable: z.array(z.strictObject({ why: z.string(), programs: count })),
});

const resultsSchema: z.ZodType<Results> = z.strictObject({
  format: z.literal(RESULTS_FORMAT),
  version: z.literal(RESULTS_VERSION),
  suite: z.string(),
  began: z.string(),
  seconds: z.number(),
  target,
  topology,
  seed: z.int(),
  properties: z.array(property),
  clauses: z.array(z.strictObject({ id: z.string(), seen: count })),
  interrupted: z.string().nullable(),
});
