/** Deviation files: read whole or refused with one sentence; what is on record is no finding. */
import { expect, test } from "vitest";
import { PROFILES } from "../model/profile.ts";
import { REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { findProperty } from "../properties/all.ts";
import { findFault } from "../scenarios/faults/all.ts";
import { ModelTarget } from "../targets/model.ts";
import { runCampaign } from "./campaign.ts";
import { DeviationFileError, parseDeviations } from "./deviation-file.ts";

const RECORD = {
  id: "wrong-errno",
  title: "attaching to what is no IOAS is refused with EINVAL",
  since: "7.2",
  call: "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
  expected: "ENOENT",
  observed: "EINVAL",
  upstream: "none",
} as const;

const text = (changes: object, record: object = RECORD): string =>
  JSON.stringify({ format: "vfio-conformance/deviations", version: 1, deviations: [record], ...changes });

async function campaign(records: ReturnType<typeof parseDeviations>) {
  const [profile, property, fault] = [
    PROFILES["7.2"],
    findProperty("iommufd-objects"),
    findFault("attach-wrong-errno"),
  ];
  if (!profile || !property || !fault) throw new Error("the suite lacks what this test is made of");
  // The selftests attach accesses by the same step, and would show the fault as well.
  const kconfig = new Set([...profile.kconfig].filter((option) => option !== "IOMMUFD_TEST"));
  const { properties } = await runCampaign({
    target: new ModelTarget(REFERENCE_TOPOLOGY, { ...profile, kconfig }, [fault]),
    properties: [property],
    seed: 3,
    budget: { runs: 60 },
    recorded: records,
  });
  return properties[0];
}

test("a difference on record is counted as known", async () => {
  expect((await campaign([]))?.findings.map(({ what }) => what)).toEqual([
    "VFIO_DEVICE_ATTACH_IOMMUFD_PT answered EINVAL where ENOENT is right.",
  ]);
  const result = await campaign(parseDeviations(text({}), "mine.json"));
  expect(result?.findings).toEqual([]);
  expect(result?.known.map(({ id }) => id)).toEqual(["wrong-errno"]);
});

test("a record for other kernels, or another errno, is not taken", async () => {
  for (const other of [
    { ...RECORD, since: "6.6", until: "7.1" },
    { ...RECORD, observed: "ENODEV" },
  ]) {
    expect((await campaign(parseDeviations(text({}, other), "mine.json")))?.findings).toHaveLength(1);
  }
});

test("what can't be read is refused with one sentence", () => {
  const refused = (file: string): string => {
    try {
      parseDeviations(file, "mine.json");
    } catch (error) {
      if (error instanceof DeviationFileError) return error.message;
      throw error;
    }
    return "read";
  };
  expect(refused("{")).toMatch(/^mine.json is no JSON: /);
  expect(refused("{}")).toBe('mine.json is no deviation file: its "format" must be "vfio-conformance/deviations".');
  expect(refused(text({ version: 2 }))).toBe("mine.json is a deviation file of version 2; this suite reads version 1.");
  expect(refused(text({}, { ...RECORD, observed: "EWHAT" }))).toMatch(/^mine.json: deviations.0.observed: /);
  expect(refused(text({}, { ...RECORD, more: 1 }))).toMatch(/^mine.json: deviations.0: /);
});
