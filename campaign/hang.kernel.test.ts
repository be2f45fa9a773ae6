/** Calls that never come back, on real kernels: the program is told, with the place where the kernel is. */
import { expect, test } from "vitest";
import { findScenario } from "../scenarios/all.ts";
import { ensureKernel } from "../targets/kernel/build.ts";
import { IOMMU_MACHINE, MOCK_MACHINE, type QemuMachine } from "../targets/qemu/machines.ts";
import { startQemu } from "../targets/qemu/target.ts";
import { runOne } from "./one-run.ts";

async function endOf(id: string, version: "6.1" | "7.2", machine: QemuMachine) {
  const scenario = findScenario(id);
  if (!scenario) throw new Error(`there is no scenario ${id}`);
  const signal = new AbortController().signal;
  const kernel = await ensureKernel({ kind: "release", version, flavour: "plain" }, () => {}, signal);
  await using target = await startQemu({ kernel, machine });
  const { end } = await runOne(target, { machine: target.topology.name, calls: scenario.calls });
  return end;
}

test("a call that works without end is told by the agent", async () => {
  const end = await endOf("dirty-part-hangs", "7.2", MOCK_MACHINE);
  expect(end).toMatchObject({ kind: "hung", stack: expect.stringContaining("iommufd_hwpt_get_dirty_bitmap") });
});

test("a kernel that loops with interrupts off is interrupted by the machine's watchdog", async () => {
  const end = await endOf("group-left-behind", "6.1", IOMMU_MACHINE);
  expect(end).toMatchObject({
    kind: "died",
    why: expect.stringMatching(/^The guest's kernel let nobody else run for 30 s, at domain_context_mapping_one\+/),
    console: expect.stringContaining("vfio_container_attach_group"),
  });
});
