import { expect, test } from "vitest";
import { formatFragment } from "./config.ts";
import { variantFragment } from "./variant.ts";

test("a variant sets every option of the ways in that the kernel has, and drops what goes with them", () => {
  expect(formatFragment(variantFragment("no-group", { major: 7, minor: 2 }))).toBe(
    [
      "# CONFIG_VFIO_GROUP is not set",
      "# CONFIG_VFIO_CONTAINER is not set",
      "CONFIG_IOMMUFD=y",
      "# CONFIG_IOMMUFD_VFIO_CONTAINER is not set",
      "CONFIG_VFIO_DEVICE_CDEV=y",
      "# CONFIG_VFIO_NOIOMMU is not set",
      "# CONFIG_VFIO_IOMMU_TYPE1 is not set",
      "",
    ].join("\n"),
  );
  expect(formatFragment(variantFragment("no-noiommu", { major: 6, minor: 1 }))).toBe(
    "# CONFIG_VFIO_NOIOMMU is not set\n",
  );
});

test("without a variant nothing changes", () => {
  expect(variantFragment(undefined, { major: 7, minor: 2 })).toEqual([]);
});
