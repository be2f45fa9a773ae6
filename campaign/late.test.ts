/** What a target finds out late about a program counts for the property that the program is of. */
import { expect, test } from "vitest";
import { PROFILES } from "../model/profile.ts";
import type { Program } from "../model/program.ts";
import { REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { findProperty } from "../properties/all.ts";
import { ModelTarget } from "../targets/model.ts";
import type { ProgramRun, Target } from "../targets/target.ts";
import { runCampaign } from "./campaign.ts";

/** A kernel that answers as it should, and of which it comes out at the end that its first program has lost memory. */
class Losing implements Target {
  readonly #model: ModelTarget;
  #first: ProgramRun | undefined;

  constructor(model: ModelTarget) {
    this.#model = model;
  }

  get about() {
    return { ...this.#model.about, kind: "qemu" } as const;
  }

  get topology() {
    return this.#model.topology;
  }

  get profile() {
    return this.#model.profile;
  }

  async *run(programs: Iterable<Program>): AsyncGenerator<ProgramRun, void, undefined> {
    for (const program of programs) {
      const run = this.#model.runNow(program);
      this.#first ??= run;
      yield run;
    }
  }

  async *settle(): AsyncGenerator<ProgramRun, void, undefined> {
    if (this.#first) yield { ...this.#first, leaks: ["The kernel has lost memory."] };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

test("a leak that shows at the end is put down to the first property, whose program it is", async () => {
  const [profile, first, second] = [PROFILES["7.2"], findProperty("iommufd-objects"), findProperty("kvm-vfio")];
  if (!profile || !first || !second) throw new Error("the suite lacks what this test is made of");
  const { properties } = await runCampaign({
    target: new Losing(new ModelTarget(REFERENCE_TOPOLOGY, profile)),
    properties: [first, second],
    deviations: [],
    seed: 3,
    budget: { runs: 20 },
  });
  expect(properties.map(({ id, findings }) => [id, findings.map(({ kind }) => kind)])).toEqual([
    ["iommufd-objects", ["leak"]],
    ["kvm-vfio", []],
  ]);
  expect(properties.reduce((sum, { programs }) => sum + programs, 0)).toBe(20);
});
