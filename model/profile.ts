/** Profiles: the kernel version and Kconfig that a machine runs, and what its caller may do. */
import { type Variant, variantOptions, WAY_OPTIONS } from "./kconfig.ts";
import { type Version, versionNumber } from "./uapi/version.ts";

/** The Kconfig options that change what user space sees. */
export const KCONFIG_OPTIONS = [
  ...WAY_OPTIONS,
  "IOMMUFD_TEST",
  "PM",
  "KVM",
  "VFIO_MDEV",
  "VFIO_PCI_VGA",
  "VFIO_PCI_DMABUF",
  "KVM_IOAPIC",
] as const;

export type KconfigOption = (typeof KCONFIG_OPTIONS)[number];

/** What kernels have anyway up to the release that made it an option. */
const OPTION_SINCE: Readonly<Partial<Record<KconfigOption, Version>>> = { KVM_IOAPIC: "6.17" };

/** Whether a kernel of this version has what the option stands for because it is no option yet. */
export function isBuiltIn(version: Version, option: KconfigOption): boolean {
  const since = OPTION_SINCE[option];
  return since !== undefined && versionNumber(version) < versionNumber(since);
}

export interface Profile {
  readonly version: Version;
  readonly kconfig: ReadonlySet<string>;
}

const V6_1: readonly KconfigOption[] = [
  "VFIO_GROUP",
  "VFIO_CONTAINER",
  "VFIO_NOIOMMU",
  "PM",
  "KVM",
  "VFIO_MDEV",
  "VFIO_PCI_VGA",
  "KVM_IOAPIC",
];
const V6_6: readonly KconfigOption[] = [...V6_1, "IOMMUFD", "VFIO_DEVICE_CDEV", "IOMMUFD_TEST"];

/** The profiles that the suite always runs; a real kernel brings its own. */
export const PROFILES: Readonly<Record<string, Profile>> = {
  "6.1": { version: "6.1", kconfig: new Set(V6_1) },
  "6.12": { version: "6.12", kconfig: new Set(V6_6) },
  "7.2": { version: "7.2", kconfig: new Set([...V6_6, "VFIO_PCI_DMABUF"]) },
};

/** The profile with other ways in: what is none of them stays, except that a kernel without iommufd can't have its test. */
export function withWays(profile: Profile, ways: ReadonlySet<string>): Profile {
  const others = [...profile.kconfig].filter(
    (option) => !isWay(option) && (option !== "IOMMUFD_TEST" || ways.has("IOMMUFD")),
  );
  return { ...profile, kconfig: new Set([...others, ...ways]) };
}

/** The profile of a variant. */
export function withVariant(profile: Profile, variant: Variant): Profile {
  return withWays(profile, variantOptions(profile.version, variant));
}

function isWay(option: string): boolean {
  return WAY_OPTIONS.some((way) => way === option);
}

/** Whether the profile's kernel is of this version or newer. */
export function since(profile: Profile, version: Version): boolean {
  return versionNumber(profile.version) >= versionNumber(version);
}
