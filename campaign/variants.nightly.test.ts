/** Kernels that lack a way in, or have another in its place, and the machine without IOMMU: nothing unexplained may show. */
import { expect, test } from "vitest";
import { VARIANT_NAMES, type Variant } from "../model/kconfig.ts";
import { PROPERTIES } from "../properties/all.ts";
import { SCENARIOS } from "../scenarios/all.ts";
import { ensureKernel } from "../targets/kernel/build.ts";
import { IOMMU_MACHINE, NOIOMMU_MACHINE, type QemuMachine } from "../targets/qemu/machines.ts";
import { startQemu } from "../targets/qemu/target.ts";
import type { Target } from "../targets/target.ts";
import { runCampaign } from "./campaign.ts";
import { deviationsOf } from "./deviations/all.ts";
import { isDestructive, runScenarios } from "./scenarios.ts";

async function start(version: string, machine: QemuMachine, kconfig?: Variant): Promise<Target> {
  const request = { kind: "release", version, flavour: "plain", ...(kconfig ? { kconfig } : {}) } as const;
  const kernel = await ensureKernel(request, () => {}, new AbortController().signal);
  return startQemu({ kernel, machine });
}

/** What a campaign on the target, and its scenarios, find wrong or miss. */
async function problems(target: Target): Promise<string[]> {
  const known = deviationsOf(target.profile);
  const scenarios = SCENARIOS.filter((scenario) => !isDestructive(scenario, known));
  const played = await runScenarios({ target, scenarios });
  const campaign = await runCampaign({ target, properties: PROPERTIES, seed: 24, budget: { runs: 1200 } });
  return [...played.properties, ...campaign.properties].flatMap(({ id, findings, goals }) => [
    ...findings.map(({ what }) => `${id}: ${what}`),
    ...goals.filter((goal) => goal.attainable && goal.reached === 0).map(({ title }) => `${id}: not reached: ${title}`),
  ]);
}

test.each(VARIANT_NAMES)("7.2 %s", async (variant) => {
  await using target = await start("7.2", IOMMU_MACHINE, variant);
  expect(await problems(target)).toEqual([]);
});

test.each(["7.2", "6.12", "6.1"])("%s in no-IOMMU mode", async (version) => {
  await using target = await start(version, NOIOMMU_MACHINE);
  expect(await problems(target)).toEqual([]);
});
