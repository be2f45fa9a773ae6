/** How properties are defined: what most of them have in common need not be said. */
import { OWN_NODE_SINCE } from "../model/iommufd/selftest/mock-device.ts";
import { type KconfigOption, since } from "../model/profile.ts";
import type { Topology } from "../model/topology.ts";
import type { Version } from "../model/uapi/version.ts";
import type { Focus, MoveKind } from "./generate/moves.ts";
import { HISTORY_INVARIANTS, STATE_INVARIANTS } from "./invariants/all.ts";
import type { Property } from "./property.ts";

const WEIGHTS: Readonly<Record<MoveKind, number>> = {
  open: 10,
  ioctl: 36,
  close: 6,
  dup: 2,
  io: 2,
  mdev: 1,
  binding: 0,
  "driver-ids": 0,
  auxiliary: 0,
  leaving: 0,
  probe: 2,
  credentials: 0,
};

/** A property; devices are those that its programs use. */
export function property(
  given: Pick<Property, "id" | "title" | "goals" | "share"> & {
    readonly devices: (topology: Topology) => readonly string[];
    /** What must stand before its functions: an IOMMU, or none and no-IOMMU mode in its place, or others that manage them. */
    readonly functionsBehind?: "iommu" | "noiommu" | "managers";
    /** Whether it is about functions that can have virtual ones. */
    readonly needsVirtual?: true;
    /** Whether it is about mocks of the kernel's selftests. */
    readonly mocks?: true;
    /** The first kernel that has what it is about. */
    readonly since?: Version;
    /** Options without which there is nothing that it is about. */
    readonly needs?: readonly KconfigOption[];
    readonly weights?: Partial<Record<MoveKind, number>>;
    readonly ioctls?: Focus["ioctls"];
    readonly otherIoctls?: number;
    readonly kvm?: boolean;
    readonly motifs?: Focus["motifs"];
    readonly alwaysOpens?: boolean;
    readonly memfds?: boolean;
    readonly copies?: boolean;
    readonly wrongOneIn?: number;
    readonly shortest?: number;
    /** One call in so many runs out of memory, which the kernel must be able to bring about. */
    readonly failOneIn?: number;
    /** One call in so many is made by another process. */
    readonly byOneIn?: number;
    readonly length?: number;
  },
): Property {
  const focuses = new WeakMap<Topology, Focus>();
  return {
    id: given.id,
    title: given.title,
    goals: given.goals,
    share: given.share,
    shortest: given.shortest ?? null,
    cut: false,
    length: given.length ?? 100,
    state: STATE_INVARIANTS,
    history: HISTORY_INVARIANTS,
    whyNot(topology, { version, kconfig }) {
      if (given.failOneIn !== undefined && topology.noFailNth !== null) return topology.noFailNth;
      if (given.functionsBehind === "managers") {
        if (topology.managed.length === 0) return "The machine has no functions that manage others.";
      } else if (topology.managed.length > 0) {
        return "The machine is for what is about functions that manage others.";
      }
      if (given.functionsBehind === "iommu" && !topology.iommu) return "The machine has no IOMMU.";
      if (given.functionsBehind === "noiommu") {
        if (topology.iommu || !topology.noiommu) return "The machine is not in no-IOMMU mode.";
      }
      if (given.needsVirtual && !topology.functions.some(({ physicalFunction }) => physicalFunction !== null)) {
        return "The machine has no virtual functions.";
      }
      if (given.mocks && topology.iommu && !since({ version, kconfig }, OWN_NODE_SINCE)) {
        return `Before ${OWN_NODE_SINCE} mocks are not attached on a machine with an IOMMU.`;
      }
      if (given.since && !since({ version, kconfig }, given.since)) {
        return `Kernels before ${given.since} do not have what it is about.`;
      }
      const lacking = given.needs?.find((option) => !kconfig.has(option));
      if (lacking !== undefined) return `The kernel has no CONFIG_${lacking}.`;
      return given.devices(topology).length > 0 ? null : "The machine has none of the devices that it is about.";
    },
    focus(topology) {
      let focus = focuses.get(topology);
      if (!focus) {
        focus = {
          devices: given.devices(topology),
          weights: { ...WEIGHTS, ...given.weights },
          kvm: given.kvm ?? true,
          wrongOneIn: given.wrongOneIn ?? 6,
          ...(given.failOneIn === undefined ? {} : { failOneIn: given.failOneIn }),
          ...(given.byOneIn === undefined ? {} : { byOneIn: given.byOneIn }),
          ...(given.ioctls ? { ioctls: given.ioctls } : {}),
          ...(given.otherIoctls === undefined ? {} : { otherIoctls: given.otherIoctls }),
          ...(given.memfds === undefined ? {} : { memfds: given.memfds }),
          ...(given.copies === undefined ? {} : { copies: given.copies }),
          ...(given.alwaysOpens === undefined ? {} : { alwaysOpens: given.alwaysOpens }),
          ...(given.motifs ? { motifs: given.motifs } : {}),
        };
        focuses.set(topology, focus);
      }
      return focus;
    },
  };
}

/** Ioctls that reset a device: slow on real ones. */
export const NO_RESETS = { VFIO_DEVICE_RESET: 0, VFIO_DEVICE_PCI_HOT_RESET: 0 } as const;

/** Commands that say little of a device by itself. */
export const FEW_OBJECTS = {
  IOMMU_IOAS_ALLOC: 0.2,
  IOMMU_IOAS_MAP: 0.1,
  IOMMU_DESTROY: 0.2,
  VFIO_CHECK_EXTENSION: 0.2,
} as const;
