/** Ends of programs: nothing is left that a kernel would stumble over. */
import { describe, expect, it } from "vitest";

import { Unmodelled } from "../../model/kernel/operation.ts";
import type { Override } from "../../model/machine.ts";
import { PROFILES } from "../../model/profile.ts";
import type { Call } from "../../model/program.ts";
import { MOCK_TOPOLOGY } from "../../model/reference-topology.ts";
import { detachesPasids, soundLength } from "./settle.ts";

const open: Call = { op: "open", node: { kind: "iommufd" }, as: "@iommufd" };
const ask = (request: string, fields: Record<string, number | string>, binds = {}): Call => ({
  op: "ioctl",
  fd: "@iommufd",
  request,
  arg: { kind: "struct", struct: { fields } },
  binds,
});
const allocIoas = ask("IOMMU_IOAS_ALLOC", { size: 12 }, { out_ioas_id: "@ioas" });
const attach = (pasid: number): Call =>
  ask("IOMMU_TEST_OP_PASID_ATTACH", { size: 72, op: 18, id: "@stdev", pasid, pt_id: "@hwpt" });

describe("PASIDs", () => {
  it("are detached once each, whether or not attaching them went well", () => {
    const last = detachesPasids([open, attach(1), attach(2), attach(1)]);
    expect(last.map((call) => (call.op === "ioctl" ? call.request : call.op))).toEqual([
      "IOMMU_TEST_OP_PASID_DETACH",
      "IOMMU_TEST_OP_PASID_DETACH",
    ]);
  });
});

describe("a program whose end is unknown", () => {
  const [profile] = [PROFILES["7.2"]].flatMap((known) => known ?? []);
  if (!profile) throw new Error("there is no profile 7.2");
  /** As if nobody knew what becomes of an IOAS. */
  const override: Override = {
    id: "unknown",
    apply(k) {
      k.iommufd = {
        ...k.iommufd,
        *removeObject() {
          throw new Unmodelled("what becomes of an object");
        },
      };
    },
  };

  it("is cut where the process can end", () => {
    const options = { topology: MOCK_TOPOLOGY, profile, overrides: [override] };
    const close: Call = { op: "close", fd: "@iommufd" };
    expect(soundLength([open, close, open, allocIoas, allocIoas], options)).toBe(3);
    expect(soundLength([open, allocIoas, close], options)).toBe(1);
    expect(soundLength([open, allocIoas, close], { topology: MOCK_TOPOLOGY, profile })).toBe(3);
  });
});
