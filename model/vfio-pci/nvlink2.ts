/**
 * GPUs of POWER9 machines with NVLink 2, and the bridges to them, as vfio-pci showed them until 5.12: memory and translation
 * registers as regions of their own. History: beside drivers/vfio/pci/vfio_pci_nvlink2.c of those kernels.
 */
import { clauses, must } from "../kernel/clause.ts";
import type { Transfer } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { PciFunction } from "../pci/function.ts";
import type { Nvlink2Traits } from "../pci/traits.ts";
import { type Capability, REGION_FLAGS } from "../vfio/device-info.ts";
import type { DeviceRegion } from "./core-device.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_nvlink2.c:${name}`;
const history = { until: "5.12", machine: "variants" } as const;

export const rule = clauses({
  "NVLINK2-REGION-1": {
    ...history,
    rule: "a GPU's memory is a region of NVIDIA's type, whose capability says where it lies on the system's bus",
    source: source("vfio_pci_nvdia_v100_nvlink2_init"),
    observable: "output",
  },
  "NVLINK2-REGION-2": {
    ...history,
    rule: "a bridge's translation registers are a page of IBM's type, or none of it, whose capabilities say where its GPU lies and how fast the link is",
    source: source("vfio_pci_ibm_npu2_init"),
    observable: "output",
  },
  "NVLINK2-RW-1": {
    ...history,
    rule: "these regions are accessed from in them, and a transfer ends where they do",
    errno: "EINVAL",
    source: source("vfio_pci_nvgpu_rw"),
  },
  "NVLINK2-RW-2": {
    ...history,
    rule: "the buffer must be writable, or readable",
    errno: "EFAULT",
    source: source("vfio_pci_nvgpu_rw"),
  },
});

/** VFIO_REGION_TYPE_PCI_VENDOR_TYPE */
const VENDOR_TYPE = 0x8000_0000;
const NVIDIA = 0x10de;
const IBM = 0x1014;
/** VFIO_REGION_SUBTYPE_NVIDIA_NVLINK2_RAM, and VFIO_REGION_SUBTYPE_IBM_NVLINK2_ATSD */
const SUBTYPE = 1;
/** VFIO_REGION_INFO_CAP_NVLINK2_* */
const CAP = { TARGET: 4, LINK_SPEED: 5 } as const;

const target = ({ target }: Nvlink2Traits): Capability => ({
  id: CAP.TARGET,
  version: 1,
  words: [Number(target & 0xffff_ffffn), Number(target >> 32n)],
});
const linkSpeed = ({ linkSpeed }: Nvlink2Traits): Capability => ({
  id: CAP.LINK_SPEED,
  version: 1,
  words: [linkSpeed, 0],
});

/** The region of one of them. What its memory holds that nobody has written can't be told. */
function regionOf(traits: Nvlink2Traits): DeviceRegion {
  const written = new Map<number, number>();
  const gpu = traits.is === "gpu";
  return {
    type: VENDOR_TYPE + (gpu ? NVIDIA : IBM),
    subtype: SUBTYPE,
    size: traits.memory,
    flags: REGION_FLAGS.READ | REGION_FLAGS.WRITE | REGION_FLAGS.MMAP,
    capabilities: gpu ? [target(traits)] : [target(traits), linkSpeed(traits)],
    *read(k, io, offset) {
      return k.nvlink2.read(traits.memory, written, io, offset);
    },
    *write(k, io, offset) {
      return k.nvlink2.write(traits.memory, written, io, offset);
    },
  };
}

export const steps = {
  /** vfio_pci_nvdia_v100_nvlink2_init, and vfio_pci_ibm_npu2_init, at every open */
  init(k: Kernel, { spec: { traits }, regions }: PciFunction): void {
    if (traits?.kind !== "nvlink2" || k.since("5.13")) return;
    regions.push(regionOf(traits));
    k.keeps(rule[traits.is === "gpu" ? "NVLINK2-REGION-1" : "NVLINK2-REGION-2"]);
  },

  /** vfio_pci_nvgpu_rw, and vfio_pci_npu2_rw, reading */
  read(size: number, written: ReadonlyMap<number, number>, { block, count: asked }: Transfer, offset: number): number {
    must(offset < size, rule["NVLINK2-RW-1"]);
    const count = Math.min(asked, size - offset);
    must(block.canWrite(count), rule["NVLINK2-RW-2"]);
    for (let i = 0; i < count; i++) {
      const byte = written.get(offset + i);
      if (byte === undefined) block.definedUpTo = Math.min(block.definedUpTo, i);
      block.bytes[i] = byte ?? 0;
    }
    return count;
  },

  /** The same, writing */
  write(size: number, written: Map<number, number>, { block, count: asked }: Transfer, offset: number): number {
    must(offset < size, rule["NVLINK2-RW-1"]);
    const count = Math.min(asked, size - offset);
    block.copyFrom(count, rule["NVLINK2-RW-2"]);
    for (let i = 0; i < count; i++) written.set(offset + i, block.bytes[i] ?? 0);
    return count;
  },
};
