/** Every invariant bites: a campaign on the model with a fault finds it, by the invariant that the fault breaks. */
import { describe, expect, test } from "vitest";
import { LockOrder } from "../model/kernel/lock.ts";
import { PROFILES } from "../model/profile.ts";
import { REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { findProperty, HISTORY_INVARIANTS, STATE_INVARIANTS } from "../properties/all.ts";
import { BALANCE, NO_TRACE } from "../properties/invariants/effects.ts";
import { accessStays, History } from "../properties/invariants/history.ts";
import { chunkSeed, sampleChunk } from "../properties/sample.ts";
import { FAULTS } from "../scenarios/faults/all.ts";
import { detachRevokesAccess } from "../scenarios/faults/detach-revokes-access.ts";
import { ModelTarget } from "../targets/model.ts";
import { runCampaign } from "./campaign.ts";

const profile = PROFILES["7.2"];
if (!profile) throw new Error("there is no profile 7.2");

describe("a campaign on the model finds the fault", () => {
  for (const fault of FAULTS) {
    test(`${fault.id}: ${fault.title}`, async () => {
      const property = findProperty(fault.property);
      if (!property) throw new Error(`there is no property ${fault.property}`);
      const by: (string | null)[] = [];
      for (let seed = 1; seed <= 12 && !by.includes(fault.breaks); seed++) {
        const { properties } = await runCampaign({
          target: new ModelTarget(REFERENCE_TOPOLOGY, profile, [fault]),
          properties: [property],
          seed,
          budget: { runs: 250 },
        });
        const found = properties.flatMap(({ findings }) => findings);
        by.push(...found.map(({ kind, rule }) => (kind === "difference" ? "difference" : rule)));
      }
      expect(by).toContain(fault.breaks);
    });
  }
});

test("access that is taken back shows in what the calls return, too", () => {
  const property = findProperty(detachRevokesAccess.property);
  if (!property) throw new Error(`there is no property ${detachRevokesAccess.property}`);
  const target = new ModelTarget(REFERENCE_TOPOLOGY, profile, [detachRevokesAccess]);
  const machine = { topology: REFERENCE_TOPOLOGY, profile, order: new LockOrder() };
  const broken = Array.from({ length: 8 }, (_, chunk) => chunkSeed(1, property.id, chunk))
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

test("every invariant has a fault that it catches, or is named by one", () => {
  const invariants = [...STATE_INVARIANTS, ...HISTORY_INVARIANTS, NO_TRACE, BALANCE].map(({ id }) => id);
  const broken = new Set(FAULTS.map(({ breaks }) => breaks));
  // access-stays has the test above: on the model access-monotone is always sooner.
  expect(invariants.filter((id) => !broken.has(id))).toEqual(["access-stays"]);
});

test("the model without a fault breaks nothing", async () => {
  const { properties } = await runCampaign({
    target: new ModelTarget(REFERENCE_TOPOLOGY, profile),
    properties: [...new Set(FAULTS.map(({ property }) => property))].flatMap((id) => findProperty(id) ?? []),
    seed: 1,
    budget: { runs: 1500 },
  });
  expect(properties.flatMap(({ findings }) => findings.map(({ what }) => what))).toEqual([]);
});
