/** Every invariant bites: a campaign on the model with a fault finds it, by the invariant that the fault breaks. */
import { describe, expect, it, test } from "vitest";
import { LockOrder } from "../model/kernel/lock.ts";
import { findProperty, PROPERTIES } from "../properties/all.ts";
import { HISTORY_INVARIANTS, STATE_INVARIANTS } from "../properties/invariants/all.ts";
import { BALANCE, NO_TRACE } from "../properties/invariants/effects.ts";
import { accessStays, History } from "../properties/invariants/history.ts";
import { chunkSeed, sampleChunk } from "../properties/sample.ts";
import { FAULTS } from "../scenarios/faults/all.ts";
import { destroyInUse } from "../scenarios/faults/destroy-in-use.ts";
import { detachRevokesAccess } from "../scenarios/faults/detach-revokes-access.ts";
import type { Fault } from "../scenarios/faults/fault.ts";
import { benchFaults, FAULT_BENCH } from "./bench-faults.ts";
import { runCampaign } from "./campaign.ts";
import { faultyTarget, hunt, toldBy } from "./hunt.ts";

describe("a campaign catches the fault, by what it breaks", () => {
  for (const fault of FAULTS) {
    test(`${fault.id}: ${fault.title}`, () => {
      // Without the hint of a property that is what the bench does, in many minutes.
      const properties = PROPERTIES.filter(({ id }) => id === fault.shownBy);
      expect(properties).toHaveLength(1);
      const caught = hunt({
        fault,
        seed: 3,
        properties,
        budget: FAULT_BENCH.budget,
        caught: (problem) => toldBy(problem) === fault.breaks,
      });
      expect(caught).not.toBeNull();
    });
  }
});

test("access that is taken back shows in what the calls return, too", () => {
  const property = findProperty("emulated-devices");
  if (!property) throw new Error("the property emulated-devices is gone");
  const target = faultyTarget(detachRevokesAccess);
  const machine = { topology: target.topology, profile: target.profile, order: new LockOrder() };
  const broken = Array.from({ length: 3 }, (_, chunk) => chunkSeed(1, property.id, chunk))
    .flatMap((seed) => sampleChunk(property, machine, seed, () => null))
    .map(({ program }) => target.runNow(program))
    .filter(({ program, outcomes }) => {
      const history = new History([accessStays]);
      return outcomes.some((outcome, at) => {
        const call = program.calls[at];
        return call !== undefined && history.after(call, outcome, at) !== undefined;
      });
    });
  expect(broken.length).toBeGreaterThan(0);
});

test("a campaign shrinks what it catches, and tells it once", async () => {
  const { properties } = await runCampaign({
    target: faultyTarget(destroyInUse),
    properties: PROPERTIES.filter(({ id }) => id === "iommufd-objects"),
    seed: 1,
    budget: { runs: 192 },
  });
  const findings = properties.flatMap((property) => property.findings);
  expect(findings.map(({ rule }) => rule)).toContain(destroyInUse.breaks);
  const [shown] = findings.filter(({ rule }) => rule === destroyInUse.breaks);
  expect(shown?.program.calls.length).toBeLessThan(10);
  expect(shown?.times).toBeGreaterThan(1);
});

describe("the bench of faults", () => {
  it("tells how many programs it took to catch each, and by what", () => {
    expect([...benchFaults([destroyInUse], { hunts: 3, budget: 300 })].slice(1)).toEqual([
      expect.stringMatching(/^destroy-in-use +\d+ programs \(\d+–\d+\) +in-use-stays.* {2}\[.+\]$/),
      expect.stringMatching(/^1 faults, 0 of them from the history of Linux: 3 of 3 hunts/),
    ]);
  });

  it("counts the hunts that came to nothing", () => {
    const nothing: Fault = {
      id: "none",
      title: "nothing",
      cites: "seeded",
      breaks: "difference",
      shownBy: "type1",
      apply() {},
    };
    const lines = benchFaults([nothing], { hunts: 2, budget: 40 });
    lines.next();
    expect(lines.next().value).toMatch(/^none {2}NOT CAUGHT$/);
    expect(lines.next().value).toContain("0 of 2 hunts");
    expect(lines.next()).toEqual({ value: 2, done: true });
  });
});

test("every invariant has a fault that it catches, or is named by one", () => {
  const invariants = [...STATE_INVARIANTS, ...HISTORY_INVARIANTS, NO_TRACE, BALANCE].map(({ id }) => id);
  const broken = new Set(FAULTS.map(({ breaks }) => breaks));
  // access-stays has the test above: on the model access-monotone is always sooner.
  expect(invariants.filter((id) => !broken.has(id))).toEqual(["access-stays"]);
});
