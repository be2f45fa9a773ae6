/**
 * Real kernels against the model: a short differential campaign on each, in which nothing unexplained may show, and every
 * goal must be reached.
 */
import { describe, expect, test } from "vitest";
import { PROPERTIES } from "../properties/all.ts";
import { FAULTS } from "../scenarios/faults/all.ts";
import { ensureKernel } from "../targets/kernel/build.ts";
import { IOMMU_MACHINE } from "../targets/qemu/machines.ts";
import { startQemu } from "../targets/qemu/target.ts";
import { runCampaign } from "./campaign.ts";
import { deviationsOf } from "./deviations/all.ts";
import type { Deviation } from "./deviations/deviation.ts";

const VERSIONS = ["7.2", "6.12", "6.1"] as const;

async function start(version: (typeof VERSIONS)[number]) {
  const kernel = await ensureKernel(
    { kind: "release", version, flavour: "plain" },
    () => {},
    new AbortController().signal,
  );
  return startQemu({ kernel, machine: IOMMU_MACHINE });
}

describe("a differential campaign", () => {
  for (const version of VERSIONS) {
    test(`on ${version} finds nothing that is not known`, async () => {
      await using target = await start(version);
      const { properties, interrupted } = await runCampaign({
        target,
        properties: PROPERTIES,
        seed: 20,
        budget: { runs: 1200 },
      });
      expect(interrupted).toBeNull();
      const found = properties.flatMap(({ findings }) => findings);
      expect(found.map(({ what, listing }) => [what, ...listing.map(({ call }) => call)])).toEqual([]);
      const missed = properties.flatMap(({ goals }) =>
        goals.filter(({ attainable, reached }) => attainable && reached === 0),
      );
      expect(missed.map(({ title }) => title)).toEqual([]);
    });
  }
});

test("a broken step of the model is seen by comparing it with a kernel", async () => {
  await using target = await start("7.2");
  const seen: string[] = [];
  for (const id of ["attach-wrong-errno", "no-gate", "bind-ignores-group"]) {
    const fault = FAULTS.find((candidate) => candidate.id === id);
    if (!fault) throw new Error(`there is no fault ${id}`);
    // The kernel is right and the model is broken: the judge gets the fault as if the kernel were known to have it.
    const wrong: Deviation = {
      id: "broken-model",
      title: fault.title,
      clause: fault.breaks,
      since: "6.1",
      source: "",
      upstream: "",
      evidence: "",
      apply: (k) => fault.apply(k),
    };
    const { properties } = await runCampaign({
      target,
      properties: PROPERTIES.filter((property) => property.id === "emulated-devices"),
      seed: 21,
      budget: { runs: 200 },
      deviations: [...deviationsOf(target.profile), wrong],
    });
    if (properties.some(({ findings }) => findings.length > 0)) seen.push(id);
  }
  expect(seen).toEqual(["attach-wrong-errno", "no-gate", "bind-ignores-group"]);
});
