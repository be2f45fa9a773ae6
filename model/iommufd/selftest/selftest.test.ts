/** Ops of the kernel's selftests on the model: which check comes first, and what is looked at. */
import { describe, expect, it } from "vitest";
import { MEMORY, PAGE } from "../../kernel/memory-map.ts";
import { Machine } from "../../machine.ts";
import { PROFILES } from "../../profile.ts";
import type { Fields, FieldValue, Place } from "../../program.ts";
import { MOCK_TOPOLOGY, REFERENCE_TOPOLOGY } from "../../reference-topology.ts";
import type { Topology } from "../../topology.ts";
import { ERRNO, type Errno } from "../../uapi/errno.ts";
import { MOCK_START } from "./mock-device.ts";

/** An iommufd with an IOAS, and the number that each call gives: 0, or the errno's name. */
class Bench {
  readonly machine: Machine;

  constructor(version: "6.12" | "7.2", topology: Topology = MOCK_TOPOLOGY) {
    const profile = PROFILES[version];
    if (!profile) throw new Error(`there is no profile ${version}`);
    this.machine = new Machine({ topology, profile });
    this.machine.step({ op: "open", node: { kind: "iommufd" }, as: "@iommufd" });
    this.call("IOMMU_IOAS_ALLOC", { size: 12 }, { out_ioas_id: "@ioas" });
  }

  call(request: string, fields: Fields, binds: Readonly<Record<string, string>> = {}, place?: Place): number | Errno {
    const struct = place === undefined ? { fields } : { fields, place };
    const { ret } = this.machine.step({ op: "ioctl", fd: "@iommufd", request, arg: { kind: "struct", struct }, binds });
    return ret >= 0 ? ret : (Object.entries(ERRNO).find(([, code]) => code === -ret)?.[0] as Errno);
  }

  test(op: number, name: string, fields: Fields, binds = {}, place?: Place) {
    return this.call(`IOMMU_TEST_OP_${name}`, { size: 72, op, ...fields }, binds, place);
  }

  mock(id: FieldValue, fields = {}, place?: Place) {
    const binds = { out_stdev_id: "@stdev", out_hwpt_id: "@hwpt", out_idev_id: "@devid" };
    return this.test(12, "MOCK_DOMAIN_FLAGS", { id, ...fields }, binds, place);
  }

  map(iova: number, length: number) {
    return this.call("IOMMU_IOAS_MAP", { size: 40, flags: 7, ioas_id: "@ioas", user_va: MEMORY.user, length, iova });
  }
}

describe("a mock", () => {
  it.each(["6.12", "7.2"] as const)(
    "of %s is refused for its flags first, then for what it is attached to, then for the struct",
    (version) => {
      const bench = new Bench(version);
      expect(bench.mock(77, { dev_flags: 8 }, "readonly")).toBe("EINVAL");
      expect(bench.mock(77, {}, "readonly")).toBe("ENOENT");
      expect(bench.mock("@ioas", {}, "readonly")).toBe("EFAULT");
      expect(bench.machine.k.iommuGroups.length).toBe(new Bench(version).machine.k.iommuGroups.length);
      expect(bench.mock("@ioas")).toBe(0);
    },
  );

  it("takes its own id before that of its device, and that before the id of a page table", () => {
    const bench = new Bench("7.2");
    bench.mock("@ioas");
    const { resolve } = bench.machine;
    expect([resolve("@stdev"), resolve("@devid"), resolve("@hwpt")]).toEqual([2, 3, 4]);
  });

  it("is kept from its IOMMU by another, before it had a firmware node", () => {
    expect(new Bench("6.12", REFERENCE_TOPOLOGY).mock("@ioas")).toBe("EINVAL");
    expect(new Bench("7.2", REFERENCE_TOPOLOGY).mock("@ioas")).toBe(0);
  });

  it("can be asked for large pages in 6.12, and for PASIDs in 7.2", () => {
    expect(new Bench("6.12").mock("@ioas", { dev_flags: 2 })).toBe(0);
    expect(new Bench("7.2").mock("@ioas", { dev_flags: 2 })).toBe("EINVAL");
    expect(new Bench("6.12").mock("@ioas", { dev_flags: 4 })).toBe("EINVAL");
    expect(new Bench("7.2").mock("@ioas", { dev_flags: 4 })).toBe(0);
  });
});

describe("looking into a page table", () => {
  const look = (bench: Bench, id: FieldValue, iova: number) =>
    bench.test(3, "MD_CHECK_MAP", { id, iova, length: PAGE, uptr: MEMORY.user });

  it("looks at the alignment before the id in 6.12, and the other way round in 7.2", () => {
    expect(look(new Bench("6.12"), 77, 1)).toBe("EINVAL");
    expect(look(new Bench("7.2"), 77, 1)).toBe("ENOENT");
  });

  it("finds what is mapped, and nothing after it was unmapped", () => {
    const bench = new Bench("7.2");
    bench.mock("@ioas");
    bench.map(MOCK_START, PAGE);
    expect(look(bench, "@hwpt", MOCK_START)).toBe(0);
    bench.call("IOMMU_IOAS_UNMAP", { size: 24, ioas_id: "@ioas", iova: MOCK_START, length: PAGE });
    expect(look(bench, "@hwpt", MOCK_START)).toBe("EINVAL");
  });
});

it("a struct may end before its last word, and not before its last member", () => {
  const bench = new Bench("7.2");
  const limit = (size: number) => bench.call("IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT", { size, op: 9, limit: 65536 });
  expect(limit(67)).toBe("EINVAL");
  expect(limit(68)).toBe(0);
});
