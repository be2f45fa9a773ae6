/** What is done to a function once a program has had it. */
import { expect, test } from "vitest";
import { REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { Assembler } from "./agent/assembler.ts";
import { Lowering } from "./lower/lower.ts";
import { restoreHardware } from "./registers.ts";

test("a network adapter that somebody may have stored to is put back, unless nobody can open it", () => {
  const restored = (group: number): number => {
    const functions = REFERENCE_TOPOLOGY.functions.map((spec) => (spec.name === "nic0.0" ? { ...spec, group } : spec));
    const topology = { ...REFERENCE_TOPOLOGY, functions };
    return restoreHardware(new Lowering(new Assembler(), topology), topology, "nic0.0").length;
  };
  expect(restored(1)).toBeGreaterThan(0);
  // There `power/control` would have it sleep, with no driver that wakes it up.
  expect(restored(-1)).toBe(0);
});
