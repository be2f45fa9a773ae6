// The lines that make a kernel of a variant: its options, and those that go with them.

import { hasOption, VARIANTS, type Variant, WAY_OPTIONS, type WayOption } from "../../model/kconfig.ts";
import type { ConfigOption } from "./config.ts";
import { parseFragment } from "./config.ts";
import type { KernelVersion } from "./kernel.ts";

/** Options of plain.config that can only be had with one of the ways in; that of dma-buf comes with iommufd's test alone. */
const FOLLOWERS: Readonly<Record<string, WayOption>> = {
  CONFIG_VFIO_IOMMU_TYPE1: "VFIO_CONTAINER",
  CONFIG_IOMMUFD_TEST: "IOMMUFD",
  CONFIG_VFIO_PCI_DMABUF: "IOMMUFD",
};

/** What a variant changes in the configuration of a kernel of this version; without a variant nothing. */
export function variantFragment(variant: Variant | undefined, version: KernelVersion): readonly ConfigOption[] {
  if (variant === undefined) return [];
  const wanted: readonly WayOption[] = VARIANTS[variant];
  const release = `${version.major}.${version.minor}` as const;
  const ways = WAY_OPTIONS.filter((option) => hasOption(release, option));
  const lines = [
    ...ways.map((option) => `CONFIG_${option}=${wanted.includes(option) ? "y" : "n"}`),
    ...Object.entries(FOLLOWERS)
      .filter(([, way]) => ways.includes(way) && !wanted.includes(way))
      .map(([option]) => `${option}=n`),
  ];
  return parseFragment(lines.join("\n"), `the variant ${variant}`);
}
