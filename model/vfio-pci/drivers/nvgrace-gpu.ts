/**
 * nvgrace-gpu-vfio-pci: GPUs on the coherent side of NVIDIA Grace, whose memory is no BAR and looks like one. Beside
 * drivers/vfio/pci/nvgrace-gpu/main.c.
 */
import { clauses, must, refuse } from "../../kernel/clause.ts";
import type { Transfer } from "../../kernel/file.ts";
import type { Argument, Ioctl } from "../../kernel/ioctl.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { PAGE } from "../../kernel/memory-map.ts";
import { type Operation, Unmodelled } from "../../kernel/operation.ts";
import { rule as vfsRule } from "../../kernel/vfs.ts";
import type { PciFunction } from "../../pci/function.ts";
import type { NvgraceTraits } from "../../pci/traits.ts";
import type { Bar } from "../../topology.ts";
import type { DeviceFile, VfioDevice } from "../../vfio/device.ts";
import { REGION_FLAGS, REGION_SIZE, type RegionDescription, resetDevice } from "../../vfio/device-info.ts";
import { VfioPciCoreDevice } from "../core-device.ts";
import { ioeventfd } from "../ioeventfd.ts";
import { inConfig } from "./config-overlay.ts";
import { type GpuMemory, layOutMemory, steps as memorySteps } from "./nvgrace-memory.ts";

const source = (name: string) => `drivers/vfio/pci/nvgrace-gpu/main.c:${name}`;
const variants = { machine: "variants", since: "6.9" } as const;

export const rule = clauses({
  "NVGRACE-REGION-1": {
    ...variants,
    rule: "the GPU's memory is a region as large as the next power of two, of which a capability says how much can be mapped",
    source: source("nvgrace_gpu_ioctl_get_region_info"),
    observable: "output",
  },
  "NVGRACE-MMAP-1": {
    ...variants,
    rule: "a mapping ends where the memory does, short of the region's end",
    errno: "EINVAL",
    source: source("nvgrace_gpu_mmap"),
  },
  "NVGRACE-MMAP-2": { ...variants, rule: "memory that there is is mapped", source: source("nvgrace_gpu_mmap") },
  "NVGRACE-RESET-1": {
    ...variants,
    rule: "a reset that is asked for leaves the BARs that look like the memory's at 0",
    source: source("nvgrace_gpu_ioctl"),
    observable: "later-call",
  },
});

const CAP_SPARSE_MMAP = 1;

/** struct nvgrace_gpu_pci_core_device */
export class NvgraceDevice extends VfioPciCoreDevice {
  override readonly name: string;
  /** Memory by the index of the BAR that it looks like; none where ACPI's tables tell of none, or the link is down. */
  readonly memories: readonly GpuMemory[];
  /** Whether the GPU has been reset since its memory was used. */
  wasReset = true;

  constructor(pciFunction: PciFunction, traits: NvgraceTraits) {
    super(pciFunction);
    this.memories = traits.memory ? layOutMemory(traits.memory, traits.setsApart) : [];
    this.name = this.memories.length > 0 ? "nvgrace-gpu-vfio-pci" : "nvgrace-gpu-vfio-pci-core";
  }

  memoryAt(index: number): GpuMemory | undefined {
    return this.memories.find((memory) => memory.index === index);
  }

  override *close(k: Kernel, device: VfioDevice): Operation<void> {
    yield* super.close(k, device);
    k.nvgrace.forget(this);
  }

  override *ioctl(k: Kernel, file: DeviceFile, command: Ioctl, arg: Argument): Operation<number> {
    if (this.memories.length === 0) return yield* super.ioctl(k, file, command, arg);
    // No eventfd writes to memory that is no BAR.
    if (command.request === ioeventfd.request) return refuse(vfsRule["VFS-IOCTL-1"]);
    const answer = yield* super.ioctl(k, file, command, arg);
    if (command.request === resetDevice.request) {
      for (const memory of this.memories) memory.bar.bytes.fill(0);
      k.keeps(rule["NVGRACE-RESET-1"]);
    }
    return answer;
  }

  override region(k: Kernel, index: number): RegionDescription {
    const memory = this.memoryAt(index);
    return memory ? k.nvgrace.region(k, memory) : super.region(k, index);
  }

  override *read(k: Kernel, io: Transfer, position: number, device: VfioDevice): Operation<number> {
    const memory = this.memoryAt(Math.floor(position / REGION_SIZE));
    if (memory) return yield* k.nvgrace.readMemory(k, this, memory, io, position % REGION_SIZE);
    const done = yield* super.read(k, io, position, device);
    if (inConfig(position) && done > 0) k.nvgrace.readBars(k, this, io, position);
    return done;
  }

  override *write(k: Kernel, io: Transfer, position: number, device: VfioDevice): Operation<number> {
    const memory = this.memoryAt(Math.floor(position / REGION_SIZE));
    if (memory) return yield* k.nvgrace.writeMemory(k, this, memory, io, position % REGION_SIZE);
    const done = yield* super.write(k, io, position, device);
    if (inConfig(position) && done > 0) k.nvgrace.writeBars(k, this, io, position);
    return done;
  }

  override *mmap(k: Kernel, file: DeviceFile, length: number, offset: number, shared: boolean): Operation<number> {
    const memory = this.memoryAt(Math.floor(offset / REGION_SIZE));
    if (!memory) return yield* super.mmap(k, file, length, offset, shared);
    k.nvgrace.checkMapping(memory, (offset % REGION_SIZE) + Math.ceil(length / PAGE) * PAGE);
    k.keeps(rule["NVGRACE-MMAP-2"]);
    return k.chooseAddress();
  }

  override *load(): Operation<bigint | null> {
    throw new Unmodelled("memory of a GPU that is mapped");
  }

  override *store(): Operation<void> {
    throw new Unmodelled("memory of a GPU that is mapped");
  }

  /** nvgrace_get_dmabuf_phys */
  override lendable(region: number): Pick<Bar, "size" | "memory"> | null {
    const memory = this.memoryAt(region);
    return memory ? { size: memory.size, memory: true } : (this.function.spec.bars[region] ?? null);
  }

  override *resetDone(): Operation<void> {
    this.wasReset = true;
    for (const memory of this.memories) memory.written.clear();
  }

  override trace(device: VfioDevice): number {
    let hash = super.trace(device) ^ (this.wasReset ? 1 << 15 : 0);
    for (const { bar, written } of this.memories) {
      for (const byte of bar.bytes) hash = Math.imul(hash ^ byte, 0x01000193);
      for (const [offset, byte] of written) hash = Math.imul(hash ^ offset, 0x01000193) ^ byte;
    }
    return hash;
  }
}

export const steps = {
  ...memorySteps,

  /** nvgrace_gpu_ioctl_get_region_info */
  region(k: Kernel, { index, barSize, size }: GpuMemory): RegionDescription {
    k.keeps(rule["NVGRACE-REGION-1"]);
    const area = [1, 0, 0, 0, size % 2 ** 32, Math.floor(size / 2 ** 32)];
    return {
      flags: REGION_FLAGS.READ | REGION_FLAGS.WRITE | REGION_FLAGS.MMAP,
      size: barSize,
      offset: index * REGION_SIZE,
      capabilities: [{ id: CAP_SPARSE_MMAP, version: 1, words: area }],
    };
  },

  /** nvgrace_gpu_mmap, as far as it refuses */
  checkMapping({ size }: GpuMemory, end: number): void {
    must(end <= size, rule["NVGRACE-MMAP-1"]);
  },

  /** What whoever opens the device next finds. */
  forget(device: NvgraceDevice): void {
    device.wasReset = true;
    for (const { bar, written } of device.memories) {
      bar.bytes.fill(0);
      written.clear();
    }
  },
};
