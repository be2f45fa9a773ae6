/** Where a container's groups let memory be mapped. Beside the iova_list of drivers/vfio/vfio_iommu_type1.c. */
import type { FunctionSpec } from "../topology.ts";
import { U64_MAX } from "../uapi/u64.ts";
import type { VfioGroup } from "./group.ts";

/** Every page size that the kernel could have: ~(PAGE_SIZE - 1). */
export const ALL_PAGE_SIZES = U64_MAX & ~0xfffn;

/** A range of IOVA, both ends included. */
export interface Window {
  readonly start: bigint;
  readonly last: bigint;
}

/** The function that speaks for a group behind an IOMMU: all of its members are behind the same. */
function specOf(group: VfioGroup): FunctionSpec {
  const [member] = group.requireIommuGroup().members;
  if (!member) throw new Error("an IOMMU group has no member");
  return member.spec;
}

/** The last address that the IOMMU of a group translates. */
export function apertureEnd(group: VfioGroup): bigint {
  return (1n << BigInt(specOf(group).apertureBits)) - 1n;
}

/** Ranges that the devices of a group reserve. */
export function reservedBy(group: VfioGroup): readonly Window[] {
  return group.requireIommuGroup().members.flatMap(({ spec }) => spec.reservedRegions);
}

/** What all of these groups translate and none of them reserves, by address. */
export function windowsOf(groups: readonly VfioGroup[]): Window[] {
  const end = groups.reduce((last, group) => last & apertureEnd(group), U64_MAX);
  const windows: Window[] = [];
  let from = 0n;
  for (const { start, last } of groups.flatMap(reservedBy).sort((a, b) => (a.start < b.start ? -1 : 1))) {
    if (start > end) break;
    if (start > from) windows.push({ start: from, last: start - 1n });
    if (last >= from) from = last + 1n;
  }
  if (from <= end) windows.push({ start: from, last: end });
  return windows;
}

/** vfio_update_pgsize_bitmap: the page sizes that all of these groups' IOMMUs have, one bit each. */
export function pageSizesOf(groups: readonly VfioGroup[]): bigint {
  return groups.reduce((sizes, group) => sizes & specOf(group).pageSizes, ALL_PAGE_SIZES);
}
