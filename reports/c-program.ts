/**
 * Programs as C that needs nothing but a compiler: on its own, or as a case of the kernel's selftest harness.
 *
 * Both do the calls of the program with the program's memory, and compare what comes back with what is right. Handles hold
 * what the kernel gives there and then. On its own the program ends with 1 where something differs, with 0 where nothing
 * does, with 3 where it can't be run.
 */
import type { Program } from "../model/program.ts";
import type { Topology } from "../model/topology.ts";
import { CALLING } from "./c/call-helpers.ts";
import { CallWriter, handleVariables } from "./c/calls.ts";
import { constants, fieldTable, fieldTableName, ioctlNumbers, layoutsOf, structDefinition } from "./c/declarations.ts";
import { PREPARING } from "./c/device-helpers.ts";
import { type Device, deviceDefinitions, devicesOf, requirements, restoring } from "./c/devices.ts";
import type { Expectation } from "./c/expectations.ts";
import { helpersFor } from "./c/helpers.ts";
import { firstMissing, mainOf, patienceWith, restore, takeNames } from "./c/hooks.ts";
import { LOOKING } from "./c/look-helpers.ts";
import { FORKING } from "./c/process-helpers.ts";
import { ALONE, KSELFTEST, type Style } from "./c/style.ts";
import { blockComment, indent, Names } from "./c/syntax.ts";
import { STARTING } from "./c/task-helpers.ts";
import { TELLING } from "./c/telling-helpers.ts";

export type { Expectation } from "./c/expectations.ts";

/** What a C program says of itself. */
export interface CProgramAbout {
  /** What it shows: one sentence. */
  readonly what: string;
  /** The rule that is broken, and where it is written. */
  readonly rule?: string;
  /** Whatever else its reader should know, a paragraph each. */
  readonly notes?: readonly string[];
}

const INCLUDES = [
  "ctype.h dirent.h errno.h fcntl.h glob.h poll.h sched.h setjmp.h signal.h stdarg.h stdbool.h stddef.h stdint.h stdio.h stdlib.h string.h unistd.h",
  "sys/eventfd.h sys/ioctl.h sys/mman.h sys/prctl.h sys/resource.h sys/syscall.h sys/types.h sys/wait.h",
];
/** All that a program may use, in the order that it has them. */
const HELPERS = [...CALLING, ...LOOKING, ...STARTING, ...FORKING, ...PREPARING, ...TELLING];
const LICENCE = "GPL-2.0-only OR MIT";

/**
 * A C program of one file. `expectations` are by call, null where anything is right. Devices are those of the topology
 * unless others are named when it is run.
 */
export function toC(
  program: Program,
  topology: Topology,
  expectations: readonly (Expectation | null)[],
  about: CProgramAbout,
): string {
  const parts = new Parts(program, topology, expectations, ALONE);
  const steps = parts.calls.length > 0 && parts.calls.at(-1) === "" ? parts.calls.slice(0, -1) : parts.calls;
  const body = [
    `static void run(void)\n{\n${indent(steps.length > 0 ? ["long ret;", "", ...steps] : []).join("\n")}\n}\n`,
    ...parts.hooks,
    mainOf(patienceWith(program)),
  ].join("\n");
  return parts.file(body, [...parts.heading(about, USAGE)], ["signal.h", "sys/wait.h"]);
}

/** The same as a case of kselftest_harness.h, to be put beside the kernel's own selftests. */
export function toKselftest(
  program: Program,
  topology: Topology,
  expectations: readonly (Expectation | null)[],
  about: CProgramAbout & { readonly name: string },
): string {
  const parts = new Parts(program, topology, expectations, KSELFTEST);
  const name = about.name.replace(/[^A-Za-z0-9_]/g, "_");
  const body = [
    ...parts.hooks,
    `FIXTURE(vfio_conformance) {
	bool ready;
};

FIXTURE_SETUP(vfio_conformance)
{
	const char *missing;

	take_environment();
	missing = first_missing();
	if (missing)
		SKIP(return, "%s", missing);
	ASSERT_TRUE(lay_out_memory());
	self->ready = true;
}

/* In the parent, so that all files of the case are closed by then. */
FIXTURE_TEARDOWN_PARENT(vfio_conformance)
{
	restore();
}

TEST_F_TIMEOUT(vfio_conformance, ${name}, ${patienceWith(program)})
{
	long ret;

	ASSERT_TRUE(self->ready);

${indent(parts.calls).join("\n").trimEnd()}
}

TEST_HARNESS_MAIN
`,
  ].join("\n");
  const usage = ["Devices are named in the environment, such as NIC0_0=0000:03:00.0 for nic0.0."];
  return parts.file(body, parts.heading(about, usage), [], ['#include "../kselftest_harness.h"']);
}

const USAGE = [
  "Build: cc -Wall -o reproduce this-file.c    Run as root: ./reproduce [device=address]...",
  "Ends with 1 where the difference is there, with 0 where it is not, with 3 where it could not be run.",
];

/** The parts that both kinds of program have. */
class Parts {
  readonly calls: readonly string[];
  /** Functions that main() or the harness calls. */
  readonly hooks: readonly string[];
  readonly #program: Program;
  readonly #devices: readonly Device[];
  readonly #names: Names;

  constructor(program: Program, topology: Topology, expectations: readonly (Expectation | null)[], style: Style) {
    this.#program = program;
    this.#devices = devicesOf(program, topology);
    this.#names = new Names(reservedWords(program));
    this.calls = new CallWriter(program, topology, expectations, this.#names, style).lines();
    this.hooks = [
      takeNames(style),
      firstMissing(requirements(program, expectations, this.#devices, this.#names, topology)),
      restore(restoring(program, this.#devices, this.#names, topology)),
    ];
  }

  /** The comment at the top. */
  heading({ what, rule, notes = [] }: CProgramAbout, usage: readonly string[]): string[] {
    const devices = this.#devices.map(({ name, address }) => `${name} is ${address}`).join(", ");
    const paragraphs = [
      what,
      ...(rule === undefined ? [] : ["", `The rule: ${rule}`]),
      ...notes.flatMap((note) => ["", note]),
      "",
      ...usage,
      ...(devices === "" ? [] : [`Where nothing else is said, ${devices}.`]),
    ];
    return blockComment(paragraphs);
  }

  /** Puts declarations and the helpers that the body needs before it. */
  file(body: string, heading: readonly string[], includes: readonly string[], own: readonly string[] = []): string {
    const variables = ["static int moved;", ...handleVariables(this.#program, this.#names, body)];
    const helpers = helpersFor(body, HELPERS);
    const layouts = layoutsOf(this.#program);
    const withFields = helpers.some((text) => text.includes("struct field {"));
    const code = [...ioctlNumbers(this.#program), ...constants(this.#program, body)].join("\n");
    return [
      `/* SPDX-License-Identifier: ${LICENCE} */`,
      heading.join("\n"),
      "#ifndef _GNU_SOURCE\n#define _GNU_SOURCE\n#endif",
      [...includeLines(includes), ...own].join("\n"),
      "",
      ...(code === "" ? [] : [code, ""]),
      ...new Set(layouts.map(structDefinition)),
      ...deviceDefinitions(this.#devices, this.#names),
      `/* Whether devices are others than those that it was found with. */\n${variables[0]}\n`,
      ...(variables.length > 1 ? [`/* What calls bring for later ones. */\n${variables.slice(1).join("\n")}\n`] : []),
      ...helpers,
      // A whole word: one table's name may end another's.
      ...(withFields
        ? new Set(layouts.filter((layout) => new RegExp(`\\b${fieldTableName(layout)}\\b`).test(body)).map(fieldTable))
        : []),
      body,
    ].join("\n");
  }
}

function includeLines(more: readonly string[]): string[] {
  const names = [...INCLUDES.flatMap((line) => line.split(" ")), ...more];
  return names.map((name) => `#include <${name}>`);
}

/** Words that helpers and declarations use, which no handle may be called. */
function reservedWords(program: Program): Set<string> {
  const words = new Set<string>(["devices", "device", "moved", "run", "seen", "name", "value", "address", "bus"]);
  const texts = HELPERS.map(({ text }) => text);
  for (const text of [...texts, mainOf(0), ...layoutsOf(program).map(structDefinition)]) {
    for (const word of text.match(/[A-Za-z_]\w*/g) ?? []) words.add(word);
  }
  return words;
}
