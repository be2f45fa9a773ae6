import { expect, test } from "vitest";
import type { Call } from "../model/program.ts";
import { REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { Assembler } from "./agent/assembler.ts";
import { Lowering } from "./lower/lower.ts";
import { removeIds } from "./new-ids.ts";

const added = (driver: string, text: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "new_id", driver },
  text: { text },
});

test("as many ids are removed as were added, and each is looked for once more", () => {
  const calls = [
    added("pci-stub", "8086 10d3"),
    added("pci-stub", "8086 10D3 ffffffff ffffffff 0 0 1"),
    added("pci-stub", "8086"),
    added("vfio-pci", "8086 10d3"),
  ];
  const code = new Assembler();
  const { removals, probes } = removeIds(
    new Lowering(code, REFERENCE_TOPOLOGY),
    { machine: "iommu", calls },
    REFERENCE_TOPOLOGY,
  );
  expect(removals).toHaveLength(3);
  expect(probes.map(({ what }) => what)).toEqual([
    "pci-stub still has the id 8086 10d3.",
    "vfio-pci still has the id 8086 10d3.",
  ]);
  expect(Buffer.from(code.finish()).toString("latin1").split("/pci-stub/remove_id").length - 1).toBe(3);
});
