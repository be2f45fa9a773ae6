/**
 * Real kernels against the model: a short differential campaign on each, in which nothing unexplained may show, and every
 * goal must be reached.
 */
import { describe, expect, test } from "vitest";
import { PROPERTIES } from "../properties/all.ts";
import type { Property } from "../properties/property.ts";
import { SCENARIOS } from "../scenarios/all.ts";
import { FAULTS } from "../scenarios/faults/all.ts";
import { ensureKernel } from "../targets/kernel/build.ts";
import type { AgentTarget } from "../targets/on-agent.ts";
import { IOMMU_MACHINE, MOCK_MACHINE, type QemuMachine, SRIOV_MACHINE } from "../targets/qemu/machines.ts";
import { startQemu } from "../targets/qemu/target.ts";
import { runCampaign } from "./campaign.ts";
import { deviationsOf } from "./deviations/all.ts";
import type { Deviation } from "./deviations/deviation.ts";
import { runScenarios } from "./scenarios.ts";

const VERSIONS = ["7.2", "6.12", "6.1"] as const;

async function start(version: (typeof VERSIONS)[number], machine: QemuMachine = IOMMU_MACHINE) {
  const kernel = await ensureKernel(
    { kind: "release", version, flavour: "plain" },
    () => {},
    new AbortController().signal,
  );
  return startQemu({ kernel, machine });
}

/** A campaign that must find nothing and miss nothing. */
async function conforms(target: AgentTarget, properties: readonly Property[], runs: number): Promise<void> {
  const results = await runCampaign({ target, properties, seed: 20, budget: { runs } });
  expect(results.interrupted).toBeNull();
  const found = results.properties.flatMap(({ findings }) => findings);
  expect(found.map(({ what, listing }) => [what, ...listing.map(({ call }) => call)])).toEqual([]);
  const missed = results.properties.flatMap(({ goals }) =>
    goals.filter(({ attainable, reached }) => attainable && reached === 0),
  );
  expect(missed.map(({ title }) => title)).toEqual([]);
}

/** Those about the mocks of the kernel's iommufd selftests, and what hangs on them. */
const ABOUT_MOCKS = ["iommufd-mock", "iommufd-access", "mock-tables", "mock-viommus"];

/** Those about what only the machine has that has virtual functions and a VGA adapter. */
const ABOUT_VIRTUAL = ["sr-iov", "function-regions"];
const OF_VIRTUAL = /^(vga|vf|vfs|pf)-|^virtual-|^physical-/;

describe("a differential campaign", () => {
  for (const version of VERSIONS) {
    test(`on ${version} finds nothing that is not known`, async () => {
      await using target = await start(version);
      await conforms(target, PROPERTIES, 2600);
    });
  }

  for (const version of ["7.2", "6.12"] as const) {
    test(`on ${version} without an IOMMU, on mocks, finds nothing that is not known`, async () => {
      await using target = await start(version, MOCK_MACHINE);
      const about = PROPERTIES.filter(({ id }) => ABOUT_MOCKS.includes(id));
      expect(about.length).toBe(ABOUT_MOCKS.length);
      await conforms(target, about, 500);
    });
  }

  for (const version of VERSIONS) {
    test(`on ${version} with virtual functions and a VGA adapter finds nothing that is not known`, async () => {
      await using target = await start(version, SRIOV_MACHINE);
      const about = PROPERTIES.filter(({ id }) => ABOUT_VIRTUAL.includes(id));
      await conforms(target, about, 200);
      const { properties } = await runScenarios({
        target,
        scenarios: SCENARIOS.filter(({ id }) => OF_VIRTUAL.test(id)),
      });
      expect(properties.flatMap(({ findings }) => findings.map(({ what }) => what))).toEqual([]);
      expect(properties.filter(({ programs }) => programs > 0).length).toBeGreaterThan(8);
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
