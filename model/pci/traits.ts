/**
 * What a function says of itself to a driver that is made for it, and its configuration space does not: what firmware,
 * ACPI's tables, its physical function or the bridges beside it tell. A function without any is nobody's but vfio-pci's.
 */

/** A virtual function of an mlx5 adapter. */
export interface Mlx5Traits {
  readonly kind: "mlx5";
  /** Whether firmware can save it and load it. */
  readonly migratable: boolean;
  /** Whether firmware can log what it writes: the smallest and the largest page that it logs by, in bytes. */
  readonly logs: { readonly smallest: number; readonly largest: number } | null;
  /** Bytes of its whole state, and of what is left of it when a copy of the running device has gone before. */
  readonly stateSize: number;
  readonly restSize: number;
}

/** A virtual function of a HiSilicon accelerator. */
export interface HisiAccTraits {
  readonly kind: "hisi-acc";
  /** Whether the physical function has its driver, and is of a version that migrates. */
  readonly migratable: boolean;
  /** Whether a driver in a guest has made its queues ready, so that there is a state to save. */
  readonly ready: boolean;
  readonly queues: number;
}

/** A virtual function of an AMD/Pensando adapter. */
export interface PdsTraits {
  readonly kind: "pds";
  /** Bytes of its state. */
  readonly stateSize: number;
  /** Ranges that it logs at the most. */
  readonly maxRegions: number;
}

/** A virtual function of a virtio device. */
export interface VirtioTraits {
  readonly kind: "virtio";
  /** Whether the physical function carries out accesses of legacy registers. */
  readonly legacyIo: boolean;
  /** Bytes of its parts, or null where it can't be saved. */
  readonly partsSize: number | null;
}

/** A GPU with memory of its own on the coherent side of NVIDIA Grace. */
export interface NvgraceTraits {
  readonly kind: "nvgrace-gpu";
  /** Bytes of memory by ACPI's tables; null where they tell of none, 0 where the link to it is down. */
  readonly memory: number | null;
  /** Whether a GiB at its end is set apart, as a bug of Grace Hopper asks for. */
  readonly setsApart: boolean;
}

/** A virtual function of an Intel QAT device. */
export interface QatTraits {
  readonly kind: "qat";
  /** Bytes of its state, and of the part at its begin that tells what device it is of. */
  readonly stateSize: number;
  readonly setupSize: number;
}

/** A virtual function of Intel graphics that the xe driver has. */
export interface XeTraits {
  readonly kind: "xe";
  /** Bytes of its state. */
  readonly stateSize: number;
}

/** Intel graphics. */
export interface IgdTraits {
  readonly kind: "igd";
  /** What firmware has for the display's driver; null where it has nothing, or something else. */
  readonly opRegion: {
    /** As BCD: 0x0200 is 2.0. */
    readonly version: number;
    /** Bytes, without the extended table. */
    readonly size: number;
    /** Bytes of a video BIOS table that does not lie in it, or 0. */
    readonly extendedTable: number;
  } | null;
  /** Configuration spaces of the host bridge and of the LPC bridge, as text; null where there is none of Intel's. */
  readonly hostBridge: string | null;
  readonly lpcBridge: string | null;
}

/** A function of an IBM Z machine: what its millicode tells. */
export interface ZpciTraits {
  readonly kind: "zpci";
  readonly startDma: bigint;
  readonly endDma: bigint;
  readonly pchid: number;
  readonly vfn: number;
  readonly functionType: number;
  readonly groupId: number;
  readonly handle: number;
  readonly dmaMask: bigint;
  readonly msiAddress: bigint;
  readonly maxMsi: number;
  readonly version: number;
  readonly maxStoreBlock: number;
  /** 64 bytes of EBCDIC, or null. */
  readonly utilityString: string | null;
  /** Four segments. */
  readonly path: readonly [number, number, number, number];
}

/** A GPU, or the bridge to it, of a POWER9 machine with NVLink 2. */
export interface Nvlink2Traits {
  readonly kind: "nvlink2";
  readonly is: "gpu" | "bridge";
  /** Bytes of the GPU's memory, or of the bridge's translation area, 0 where it has none. */
  readonly memory: number;
  /** Where that is in the system, and the speed of the link. */
  readonly target: bigint;
  readonly linkSpeed: number;
}

/** A device whose driver, none of Linux's own, migrated it by a region of registers. */
export interface MigrationV1Traits {
  readonly kind: "migration-v1";
  /** Bytes of its state, and of what is handed over at a time. */
  readonly stateSize: number;
  readonly partSize: number;
}

export type FunctionTraits =
  | Mlx5Traits
  | HisiAccTraits
  | PdsTraits
  | VirtioTraits
  | NvgraceTraits
  | QatTraits
  | XeTraits
  | IgdTraits
  | ZpciTraits
  | Nvlink2Traits
  | MigrationV1Traits;
