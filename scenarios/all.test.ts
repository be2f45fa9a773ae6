/** What scenarios call right is what the model answers, on every kernel that they apply to. */
import { describe, expect, it } from "vitest";
import { checkProgram } from "../model/format/check-program.ts";
import { VARIANT_NAMES } from "../model/kconfig.ts";
import { Machine } from "../model/machine.ts";
import { MODEL_MACHINES } from "../model/model-machines.ts";
import { isBuiltIn, PROFILES, type Profile, withVariant } from "../model/profile.ts";
import { REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { errnoName } from "../model/uapi/errno.ts";
import { SCENARIOS } from "./all.ts";
import { createMdev, openCdev, openGroup } from "./calls.ts";
import { type Expectation, gives, refused, scenario, whyNot } from "./scenario.ts";

/** An outcome as scenarios write it. */
function asWritten(ret: number, expected: Expectation | undefined): string | number {
  if (ret < 0) return errnoName(-ret);
  return typeof expected === "number" ? ret : "ok";
}

/** A profile with all that its kernel can have, those with other ways in, and one without the VM's own PIC and I/O APIC. */
const profilesOf = (full: Profile): readonly (readonly [name: string, profile: Profile])[] => [
  ["with everything", full],
  ...VARIANT_NAMES.map((variant) => [variant, withVariant(full, variant)] as const),
  ...(isBuiltIn(full.version, "KVM_IOAPIC")
    ? []
    : [["no-ioapic", { ...full, kconfig: without(full.kconfig, "KVM_IOAPIC") }] as const]),
];

const without = (options: ReadonlySet<string>, left: string) =>
  new Set([...options].filter((option) => option !== left));

/** Every kernel in every machine. */
const SYSTEMS = Object.entries(PROFILES).flatMap(([version, full]) =>
  profilesOf(full).flatMap(([variant, profile]) =>
    MODEL_MACHINES.map(({ topology }) => ({
      name: [version, variant, topology.name].join(", "),
      profile,
      topology,
    })),
  ),
);

for (const { name, profile, topology } of SYSTEMS) {
  it(`are right on the model of ${name}`, () => {
    for (const each of SCENARIOS) {
      if (whyNot(each, profile, topology) !== null) continue;
      const machine = new Machine({ topology, profile });
      const { calls, expect: right } = each;
      expect(
        calls.map((call, at) => asWritten(machine.step(call).ret, right[at])),
        each.id,
      ).toEqual(right);
    }
  });
}

describe("scenarios", () => {
  it("have ids of their own, and each applies to some kernel", () => {
    expect(new Set(SCENARIOS.map(({ id }) => id)).size).toBe(SCENARIOS.length);
    for (const each of SCENARIOS) {
      const reasons = SYSTEMS.map(({ profile, topology }) => whyNot(each, profile, topology));
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
