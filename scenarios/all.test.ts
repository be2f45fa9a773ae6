/** What scenarios call right is what the model answers, on every kernel that they apply to. */
import { describe, expect, it } from "vitest";
import { checkProgram } from "../model/format/check-program.ts";
import { Machine } from "../model/machine.ts";
import { PROFILES } from "../model/profile.ts";
import { NOIOMMU_TOPOLOGY, REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { errnoName } from "../model/uapi/errno.ts";
import { SCENARIOS } from "./all.ts";
import { createMdev, openCdev, openGroup } from "./calls.ts";
import { type Expectation, gives, refused, type Scenario, scenario, whyNot } from "./scenario.ts";

/** A machine that has what a scenario is about. */
const machineFor = ({ needs }: Scenario) => (needs.noiommu ? NOIOMMU_TOPOLOGY : REFERENCE_TOPOLOGY);

/** An outcome as scenarios write it. */
function asWritten(ret: number, expected: Expectation | undefined): string | number {
  if (ret < 0) return errnoName(-ret);
  return typeof expected === "number" ? ret : "ok";
}

for (const [version, profile] of Object.entries(PROFILES)) {
  describe(`on the model of ${version}`, () => {
    const apply = SCENARIOS.filter((each) => whyNot(each, profile, machineFor(each)) === null);
    it.each(apply.map((each) => [each.id, each] as const))("%s", (_id, each) => {
      const { calls, expect: right } = each;
      const machine = new Machine({ topology: machineFor(each), profile });
      expect(calls.map((call, at) => asWritten(machine.step(call).ret, right[at]))).toEqual(right);
    });
  });
}

describe("scenarios", () => {
  it("have ids of their own, and each applies to some kernel", () => {
    expect(new Set(SCENARIOS.map(({ id }) => id)).size).toBe(SCENARIOS.length);
    for (const each of SCENARIOS) {
      const reasons = Object.values(PROFILES).map((profile) => whyNot(each, profile, machineFor(each)));
      expect(reasons, each.id).toContain(null);
    }
  });

  it("are programs that can be stored and replayed", () => {
    for (const { id, calls } of SCENARIOS) expect(checkProgram({ machine: "any", calls }), id).toBeUndefined();
  });

  it("take calls as they stand for ones that succeed", () => {
    const { expect: right } = scenario({
      id: "x",
      title: "x",
      steps: [openGroup("edu0"), refused("EBUSY", openGroup("edu0", "@again")), gives(37, createMdev())],
    });
    expect(right).toEqual(["ok", "EBUSY", 37]);
  });

  it("say in one sentence why they do not apply", () => {
    const about = (device: string) =>
      scenario({ id: "x", title: "x", needs: { since: "6.6" }, steps: [openCdev(device)] });
    const { "6.1": old, "7.2": recent } = PROFILES;
    if (!old || !recent) throw new Error("the profiles are gone");
    expect(whyNot(about("edu0"), old, REFERENCE_TOPOLOGY)).toBe("It is about kernels from 6.6 on.");
    expect(whyNot(about("gpu7"), recent, REFERENCE_TOPOLOGY)).toBe("The machine has no device gpu7.");
    expect(whyNot(about("edu0"), recent, REFERENCE_TOPOLOGY)).toBeNull();
  });
});
