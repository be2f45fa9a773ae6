/**
 * The options that decide how a device is reached, what Kconfig makes of them, and the combinations that this leaves.
 * Beside drivers/vfio/Kconfig and drivers/iommu/iommufd/Kconfig.
 */
import { inRange, type Version, versionNumber } from "./uapi/version.ts";

/** The options of the ways in to a device. */
export const WAY_OPTIONS = [
  "VFIO_GROUP",
  "VFIO_CONTAINER",
  "IOMMUFD",
  "IOMMUFD_VFIO_CONTAINER",
  "VFIO_DEVICE_CDEV",
  "VFIO_NOIOMMU",
] as const;

export type WayOption = (typeof WAY_OPTIONS)[number];

/** Options as they must be set: all of them. */
type Condition = Readonly<Partial<Record<WayOption, boolean>>>;

/** What Kconfig says of an option. */
export interface OptionRule {
  /** The first kernel that has the option. */
  readonly since?: Version;
  /** What it stands for was there before it became an option. */
  readonly builtInBefore?: boolean;
  /** `depends on`: it can't be set otherwise. */
  readonly dependsOn?: Condition;
  /** `select … if`: it can't be left out where this holds. */
  readonly selectedIf?: Condition;
}

/** The rules from 6.6 on; an option that a kernel does not have yet counts as its `builtInBefore` says. */
export const KCONFIG_RULES: Readonly<Record<WayOption, OptionRule>> = {
  VFIO_GROUP: { since: "6.6", builtInBefore: true, selectedIf: { IOMMUFD: false } },
  VFIO_CONTAINER: {
    since: "6.2",
    builtInBefore: true,
    dependsOn: { VFIO_GROUP: true },
    selectedIf: { IOMMUFD: false },
  },
  IOMMUFD: { since: "6.2" },
  IOMMUFD_VFIO_CONTAINER: {
    since: "6.2",
    dependsOn: { IOMMUFD: true, VFIO_GROUP: true, VFIO_CONTAINER: false },
  },
  VFIO_DEVICE_CDEV: { since: "6.6", dependsOn: { IOMMUFD: true }, selectedIf: { VFIO_GROUP: false } },
  VFIO_NOIOMMU: { dependsOn: { VFIO_GROUP: true } },
};

/** Whether a kernel of this version has the option. */
export function hasOption(version: Version, option: WayOption): boolean {
  return inRange(versionNumber(version), KCONFIG_RULES[option]);
}

/** What such a kernel has whatever its configuration, because it was no option yet. */
export function builtIn(version: Version): readonly WayOption[] {
  return WAY_OPTIONS.filter((option) => !hasOption(version, option) && KCONFIG_RULES[option].builtInBefore === true);
}

/** What of a set of options Kconfig of that kernel would not leave so, a sentence each; none for a legal combination. */
export function illegal(version: Version, set: ReadonlySet<string>): readonly string[] {
  const holds = (condition: Condition): boolean =>
    Object.entries(condition).every(([option, wanted]) => set.has(option) === wanted);
  return WAY_OPTIONS.flatMap((option) => {
    const { builtInBefore = false, dependsOn, selectedIf } = KCONFIG_RULES[option];
    if (!hasOption(version, option)) {
      return set.has(option) === builtInBefore ? [] : [`Linux ${version} has no option ${option}.`];
    }
    if (set.has(option)) return dependsOn && !holds(dependsOn) ? [`${option} depends on ${spell(dependsOn)}.`] : [];
    return selectedIf && holds(selectedIf) ? [`${option} is selected by ${spell(selectedIf)}.`] : [];
  });
}

/** Every combination that Kconfig of that kernel allows, the fullest last. */
export function legalCombinations(version: Version): readonly ReadonlySet<WayOption>[] {
  return Array.from(
    { length: 2 ** WAY_OPTIONS.length },
    (_, bits) => new Set(WAY_OPTIONS.filter((_option, at) => (bits & (1 << at)) !== 0)),
  ).filter((set) => illegal(version, set).length === 0);
}

/** Combinations that are worth a kernel of their own, by name: each leaves one way in out, or has another in its place. */
export const VARIANTS = {
  "no-group": ["IOMMUFD", "VFIO_DEVICE_CDEV"],
  "no-container": ["VFIO_GROUP", "IOMMUFD", "VFIO_DEVICE_CDEV", "VFIO_NOIOMMU"],
  "iommufd-container": ["VFIO_GROUP", "IOMMUFD", "IOMMUFD_VFIO_CONTAINER", "VFIO_DEVICE_CDEV", "VFIO_NOIOMMU"],
  "no-cdev": ["VFIO_GROUP", "VFIO_CONTAINER", "IOMMUFD", "VFIO_NOIOMMU"],
  "no-iommufd": ["VFIO_GROUP", "VFIO_CONTAINER", "VFIO_NOIOMMU"],
  "no-noiommu": ["VFIO_GROUP", "VFIO_CONTAINER", "IOMMUFD", "VFIO_DEVICE_CDEV"],
} as const satisfies Readonly<Record<string, readonly WayOption[]>>;

export type Variant = keyof typeof VARIANTS;

export const VARIANT_NAMES = Object.keys(VARIANTS) as readonly Variant[];

/** Whether a name is one of VARIANTS. */
export function isVariant(name: string): name is Variant {
  return Object.hasOwn(VARIANTS, name);
}

/** The options of the ways in that a kernel of this version has in a variant. What it has no option for goes its own way. */
export function variantOptions(version: Version, variant: Variant): ReadonlySet<WayOption> {
  const wanted: readonly WayOption[] = VARIANTS[variant];
  return new Set([...wanted.filter((option) => hasOption(version, option)), ...builtIn(version)]);
}

function spell(condition: Condition): string {
  return Object.entries(condition)
    .map(([option, wanted]) => (wanted ? option : `!${option}`))
    .join(" && ");
}
