/** PASIDs of mocks on the model: which check comes first, and what stays attached. */
import { describe, expect, it } from "vitest";
import { Machine } from "../../machine.ts";
import { PROFILES } from "../../profile.ts";
import type { Fields, FieldValue, Place } from "../../program.ts";
import { MOCK_TOPOLOGY } from "../../reference-topology.ts";
import { ERRNO, type Errno } from "../../uapi/errno.ts";

const PASID = 8;

/** A mock with PASIDs, attached to `@own`, which is for PASIDs as `@other` is; `@plain` is not. */
class Bench {
  readonly machine: Machine;

  constructor(version: "6.12" | "7.2" = "7.2") {
    const profile = PROFILES[version];
    if (!profile) throw new Error(`there is no profile ${version}`);
    this.machine = new Machine({ topology: MOCK_TOPOLOGY, profile });
    this.machine.step({ op: "open", node: { kind: "iommufd" }, as: "@iommufd" });
    this.call("IOMMU_IOAS_ALLOC", { size: 12 }, { out_ioas_id: "@ioas" });
  }

  static withPasids(): Bench {
    const bench = new Bench();
    const binds = { out_stdev_id: "@stdev", out_idev_id: "@devid" };
    bench.call("IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS", { size: 72, op: 12, id: "@ioas", dev_flags: 4 }, binds);
    for (const [name, flags] of [
      ["@own", PASID],
      ["@other", PASID],
      ["@plain", 0],
    ] as const) {
      const fields = { size: 48, dev_id: "@devid", pt_id: "@ioas", flags };
      bench.call("IOMMU_HWPT_ALLOC", fields, { out_hwpt_id: name });
    }
    bench.call("IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE", { size: 72, op: 10, id: "@stdev", pt_id: "@own" });
    return bench;
  }

  call(request: string, fields: Fields, binds: Readonly<Record<string, string>> = {}, place?: Place): number | Errno {
    const struct = place === undefined ? { fields } : { fields, place };
    const { ret } = this.machine.step({ op: "ioctl", fd: "@iommufd", request, arg: { kind: "struct", struct }, binds });
    return ret >= 0 ? ret : (Object.entries(ERRNO).find(([, code]) => code === -ret)?.[0] as Errno);
  }

  attach(pasid: number, pt_id: FieldValue, place?: Place) {
    return this.call("IOMMU_TEST_OP_PASID_ATTACH", { size: 72, op: 18, id: "@stdev", pasid, pt_id }, {}, place);
  }

  replace(pasid: number, pt_id: FieldValue) {
    return this.call("IOMMU_TEST_OP_PASID_REPLACE", { size: 72, op: 19, id: "@stdev", pasid, pt_id });
  }

  detach(pasid: number) {
    return this.call("IOMMU_TEST_OP_PASID_DETACH", { size: 72, op: 20, id: "@stdev", pasid });
  }

  destroy(id: FieldValue) {
    return this.call("IOMMU_DESTROY", { size: 8, id });
  }
}

describe("a PASID", () => {
  it("is none of 6.12's", () => {
    expect(new Bench("6.12").attach(1, "@ioas")).toBe("EOPNOTSUPP");
  });

  it("is refused for being attached before the page table is looked at, and for that before its number", () => {
    const bench = Bench.withPasids();
    expect(bench.attach(0x10_0000, 77)).toBe("ENOENT");
    expect(bench.attach(0x10_0000, "@own")).toBe("EINVAL");
    expect(bench.attach(0xf_ffff, "@own")).toBe(0);
    expect(bench.attach(0xf_ffff, "@plain")).toBe("EBUSY");
    expect(bench.attach(0xf_ffff, "@ioas")).toBe("EBUSY");
  });

  it("keeps its page table and its device where it is", () => {
    const bench = Bench.withPasids();
    expect(bench.attach(1, "@other")).toBe(0);
    expect(bench.destroy("@other")).toBe("EBUSY");
    expect(bench.replace(0, "@plain")).toBe("EINVAL");
    expect(bench.replace(1, "@own")).toBe(0);
    expect(bench.destroy("@other")).toBe(0);
    expect(bench.detach(1)).toBe(0);
    expect(bench.replace(0, "@plain")).toBe(0);
  });

  it("goes with its mock", () => {
    const bench = Bench.withPasids();
    bench.attach(1, "@other");
    expect(bench.destroy("@stdev")).toBe(0);
    expect(bench.destroy("@other")).toBe(0);
  });

  it("is not attached where the answer can't be written", () => {
    const bench = Bench.withPasids();
    expect(bench.attach(1, "@other", "readonly")).toBe("EFAULT");
    expect(bench.destroy("@other")).toBe(0);
  });
});

it("1024 fails every second time, and stays where it was", () => {
  const bench = Bench.withPasids();
  expect(bench.attach(1024, "@other")).toBe(0);
  expect(bench.replace(1024, "@own")).toBe("ENOMEM");
  expect(bench.destroy("@other")).toBe("EBUSY");
  expect(bench.replace(1024, "@own")).toBe(0);
  expect(bench.destroy("@other")).toBe(0);
});
