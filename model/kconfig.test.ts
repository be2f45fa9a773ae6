import { describe, expect, it } from "vitest";
import { builtIn, illegal, legalCombinations, VARIANT_NAMES, variantOptions } from "./kconfig.ts";
import { PROFILES } from "./profile.ts";

const combinations = (version: "6.1" | "6.6" | "6.12" | "7.2") =>
  legalCombinations(version).map((set) => [...set].join(" "));

describe("Kconfig", () => {
  it("of 6.1 leaves a choice of no-IOMMU mode alone", () => {
    expect(combinations("6.1")).toEqual(["VFIO_GROUP VFIO_CONTAINER", "VFIO_GROUP VFIO_CONTAINER VFIO_NOIOMMU"]);
    expect(builtIn("6.1")).toEqual(["VFIO_GROUP", "VFIO_CONTAINER"]);
  });

  it("leaves 15 combinations from 6.6 on", () => {
    expect(combinations("7.2")).toHaveLength(15);
    expect(combinations("6.12")).toEqual(combinations("7.2"));
    expect(combinations("6.6")).toEqual(combinations("7.2"));
  });

  it("has groups and containers where there is no iommufd, and device nodes where there are no groups", () => {
    const without = (option: string) => combinations("7.2").filter((set) => !set.split(" ").includes(option));
    expect(without("IOMMUFD")).toEqual(["VFIO_GROUP VFIO_CONTAINER", "VFIO_GROUP VFIO_CONTAINER VFIO_NOIOMMU"]);
    expect(without("VFIO_GROUP")).toEqual(["IOMMUFD VFIO_DEVICE_CDEV"]);
  });

  it("has one provider of /dev/vfio/vfio at the most", () => {
    const both = combinations("7.2").filter((set) => / VFIO_CONTAINER\b.* IOMMUFD_VFIO_CONTAINER/.test(set));
    expect(both).toEqual([]);
  });

  it("says what is wrong with a combination", () => {
    expect(illegal("7.2", new Set(["IOMMUFD", "VFIO_CONTAINER"]))).toEqual([
      "VFIO_CONTAINER depends on VFIO_GROUP.",
      "VFIO_DEVICE_CDEV is selected by !VFIO_GROUP.",
    ]);
    expect(illegal("6.1", new Set(["VFIO_GROUP", "VFIO_CONTAINER", "IOMMUFD"]))).toEqual([
      "Linux 6.1 has no option IOMMUFD.",
    ]);
  });

  it("allows every variant that has a name", () => {
    for (const variant of VARIANT_NAMES) {
      for (const version of ["6.1", "6.12", "7.2"] as const) {
        expect(illegal(version, variantOptions(version, variant)), `${version} ${variant}`).toEqual([]);
      }
    }
    const distinct = VARIANT_NAMES.map((variant) => [...variantOptions("7.2", variant)].join(" "));
    expect(new Set(distinct).size).toBe(VARIANT_NAMES.length);
  });

  it("allows what the profiles have", () => {
    for (const { version, kconfig } of Object.values(PROFILES)) expect(illegal(version, kconfig), version).toEqual([]);
  });
});
