/** Scenarios as a campaign runs them: on the model they hold, on a kernel that deviates they tell. */
import { describe, expect, it } from "vitest";
import { MODEL_MACHINES } from "../model/model-machines.ts";
import { PROFILES } from "../model/profile.ts";
import { REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { SCENARIOS } from "../scenarios/all.ts";
import { findFault } from "../scenarios/faults/all.ts";
import { whyNot } from "../scenarios/scenario.ts";
import { ModelTarget } from "../targets/model.ts";
import type { Target } from "../targets/target.ts";
import { assemble } from "./assemble.ts";
import { DEVIATIONS, deviationsOf } from "./deviations/all.ts";
import type { Deviation } from "./deviations/deviation.ts";
import { exitCodeOf } from "./results.ts";
import { isDestructive, runScenarios } from "./scenarios.ts";

function profile(version: string) {
  const found = PROFILES[version];
  if (!found) throw new Error(`there is no profile ${version}`);
  return found;
}

describe("scenarios on the model", () => {
  it.each(["6.1", "6.12", "7.2"])("are played to their end on %s, and nothing is wrong", async (version) => {
    const target = new ModelTarget(REFERENCE_TOPOLOGY, profile(version));
    const outcome = await runScenarios({ target, scenarios: SCENARIOS });
    const results = assemble({ target, seed: 1, began: new Date(), outcomes: [outcome] });
    expect(results.properties.flatMap(({ findings }) => findings)).toEqual([]);
    expect(exitCodeOf(results)).toBe(0);
    const skipped = results.properties.filter(({ programs }) => programs === 0);
    expect(skipped.every(({ notComparable }) => notComparable.length === 1)).toBe(true);
    const elsewhere = SCENARIOS.filter((each) => whyNot(each, profile(version), REFERENCE_TOPOLOGY) !== null);
    expect(skipped.map(({ id }) => id)).toEqual(elsewhere.map(({ id }) => id));
  });

  it("show a fault", async () => {
    const fault = findFault("destroy-in-use");
    if (!fault) throw new Error("the fault is gone");
    const target = new ModelTarget(REFERENCE_TOPOLOGY, profile("7.2"), [fault]);
    const { properties } = await runScenarios({ target, scenarios: SCENARIOS });
    const [finding] = properties.find(({ id }) => id === "destroy-in-use")?.findings ?? [];
    expect(finding?.program.calls.length).toBeGreaterThan(0);
    expect(finding?.listing.some(({ expected }) => expected === "-1 EBUSY")).toBe(true);
  });
});

/** The model with a deviation in it, as a kernel that nothing is known of but what it answers: on a machine that its evidence is for. */
function kernelWith(deviation: Deviation): Target {
  const versions = deviation.until ? ["6.1", "6.12"] : ["7.2"];
  const evidence = SCENARIOS.find(({ id }) => id === deviation.evidence);
  const [place] = versions.flatMap((version) =>
    MODEL_MACHINES.flatMap(({ topology }) =>
      evidence && whyNot(evidence, profile(version), topology) === null ? [{ topology, version }] : [],
    ),
  );
  if (!place) throw new Error(`no machine of the model is one for the evidence of ${deviation.id}`);
  const model = new ModelTarget(place.topology, profile(place.version), [
    { id: deviation.id, apply: (k) => deviation.apply(k, () => {}) },
  ]);
  const { about, topology } = model;
  return {
    about,
    topology,
    profile: model.profile,
    run: (programs) => model.run(programs),
    [Symbol.asyncDispose]: () => model[Symbol.asyncDispose](),
  };
}

describe("every deviation", () => {
  it.each(DEVIATIONS.map((deviation) => [deviation.id, deviation] as const))("%s has evidence", (id, deviation) => {
    const evidence = SCENARIOS.find((scenario) => scenario.id === deviation.evidence);
    expect(evidence?.breaks).toBe(id);
  });

  const harmless = DEVIATIONS.filter(({ destructive, onlyLogged }) => !destructive && !onlyLogged);
  it.each(harmless.map((deviation) => [deviation.id, deviation] as const))(
    "%s is shown by it",
    async (id, deviation) => {
      const target = kernelWith(deviation);
      const scenarios = SCENARIOS.filter((scenario) => scenario.id === deviation.evidence);
      const asIfUnknown = await runScenarios({ target, scenarios, deviations: [] });
      expect(asIfUnknown.properties.map(({ findings }) => findings.length)).toEqual(scenarios.map(() => 1));
      const known = await runScenarios({ target, scenarios, deviations: [deviation] });
      const asKnown = scenarios.map(() => [[], [{ id, programs: 1 }]]);
      expect(known.properties.map(({ findings, known }) => [findings, known])).toEqual(asKnown);
    },
  );

  it("that destroys a kernel counts as known when its evidence shows it, not as a finding", async () => {
    const [deviation] = DEVIATIONS.filter(({ destructive }) => destructive);
    if (!deviation) throw new Error("no deviation is destructive");
    const right = kernelWith({ ...deviation, apply: () => {} });
    const dying: Target = {
      ...right,
      async *run(programs) {
        for (const program of programs) {
          yield { program, outcomes: [], end: { kind: "died", why: "It panicked.", console: "" }, log: "", leaks: [] };
        }
      },
    };
    const scenarios = SCENARIOS.filter((scenario) => scenario.breaks === deviation.id);
    const shown = await runScenarios({ target: dying, scenarios, deviations: [deviation] });
    expect(shown.properties).toMatchObject([{ findings: [], known: [{ id: deviation.id }], goals: [{ reached: 1 }] }]);
    const mended = await runScenarios({ target: right, scenarios, deviations: [deviation] });
    expect(mended.properties).toMatchObject([{ findings: [], known: [], goals: [{ reached: 1 }] }]);
  });

  it("that destroys a kernel has evidence which is only run when it is named", () => {
    const known = deviationsOf(profile("7.2"));
    const guarded = SCENARIOS.filter((scenario) => isDestructive(scenario, known)).map(({ id }) => id);
    expect(guarded.toSorted()).toEqual([
      "acpi-count-lost",
      "bind-leaks-vm",
      "copy-misaligned",
      "dev-set-missing",
      "dirty-part-hangs",
      "group-changes-backend",
      "map-file-cycle",
      "mdev-create-leaks",
      "mock-leaves-pasids",
      "mtty-data-fd-outlives",
      "mtty-resume-reopened",
      "mtty-stream-unchecked",
      "node-missing",
      "replace-foreign-table",
      "reserved-regions-lost",
      "sample-overruns",
      "type1-replay-crawl",
    ]);
    expect(SCENARIOS.filter((scenario) => isDestructive(scenario, []))).toEqual([]);
  });
});
