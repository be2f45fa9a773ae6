/** The memory of a GPU of NVIDIA Grace: the BARs that it looks like, and reading and writing it. Beside nvgrace-gpu/main.c. */
import { clauses, must } from "../../kernel/clause.ts";
import type { Transfer } from "../../kernel/file.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { Operation } from "../../kernel/operation.ts";
import { locksOf } from "../../pci/locks.ts";
import { REGION_SIZE } from "../../vfio/device-info.ts";
import { BAR_AT, COMMAND } from "../config-perms.ts";
import { D0 } from "../config-space.ts";
import { overlay, type Register, register, takeWritten } from "./config-overlay.ts";
import type { NvgraceDevice } from "./nvgrace-gpu.ts";

const source = (name: string) => `drivers/vfio/pci/nvgrace-gpu/main.c:${name}`;
const variants = { machine: "variants", since: "6.9" } as const;

export const rule = clauses({
  "NVGRACE-CONFIG-1": {
    ...variants,
    rule: "BARs that look like the GPU's memory read as prefetchable ones of 64 bits, at what was written there, whatever else an access covers",
    source: source("nvgrace_gpu_read_config_emu"),
    observable: "output",
  },
  "NVGRACE-CONFIG-2": {
    ...variants,
    rule: "they are written in whole or in part, and what else a write covers is written as well",
    source: source("nvgrace_gpu_write_config_emu"),
    observable: "later-call",
  },
  "NVGRACE-RW-1": {
    ...variants,
    rule: "memory is accessed from in its region",
    errno: "EINVAL",
    source: source("nvgrace_gpu_read_mem"),
  },
  "NVGRACE-RW-2": {
    ...variants,
    rule: "the buffer must be writable, or readable",
    errno: "EFAULT",
    source: source("nvgrace_gpu_map_and_read"),
  },
  "NVGRACE-RW-3": {
    ...variants,
    rule: "memory holds what was written; behind its end the region reads as ones and takes what is written there, and at the region's end a transfer ends",
    source: source("nvgrace_gpu_read_mem"),
    observable: "output",
  },
  "NVGRACE-RW-4": {
    ...variants,
    since: "7.0",
    rule: "after a reset memory does not answer before the command register lets it",
    errno: "EIO",
    source: source("nvgrace_gpu_check_device_ready"),
  },
});

/** What is set apart, and the unit that what is left is used in. */
const SET_APART = 2 ** 30;
const BLOCK = 2 ** 29;
const RESERVED_BAR = 2;
const USABLE_BAR = 4;
/** A memory BAR of 64 bits that is prefetchable. */
const WIDE_PREFETCHABLE = 0xcn;

/** struct mem_region */
export interface GpuMemory {
  /** The BAR that it looks like. */
  readonly index: number;
  /** Bytes that there are, and that the BAR has. */
  readonly size: number;
  readonly barSize: number;
  readonly bar: Register;
  /** What users have written of it since it was new, by offset. */
  readonly written: Map<number, number>;
}

function memoryOf(index: number, size: number): GpuMemory {
  const barSize = 2 ** Math.ceil(Math.log2(size));
  return { index, size, barSize, bar: register(BAR_AT + 4 * index, 8, 0), written: new Map() };
}

/** nvgrace_gpu_init_nvdev_struct: the memory that a user has, and the part at its end that is not cached. */
export function layOutMemory(size: number, setsApart: boolean): readonly GpuMemory[] {
  if (!setsApart) return [memoryOf(USABLE_BAR, size)];
  const usable = Math.floor((size - SET_APART) / BLOCK) * BLOCK;
  const { bar, written } = memoryOf(USABLE_BAR, usable);
  // Its BAR is as large as it was before it was cut to blocks.
  const { barSize } = memoryOf(USABLE_BAR, size - SET_APART);
  return [{ index: USABLE_BAR, size: usable, barSize, bar, written }, memoryOf(RESERVED_BAR, size - usable)];
}

const touches = (io: Transfer, position: number, { at, bytes }: Register): boolean => {
  const begin = position % REGION_SIZE;
  return begin < at + bytes.length && at < begin + io.count;
};

export const steps = {
  /** nvgrace_gpu_read_config_emu, behind the library's */
  readBars(k: Kernel, { memories }: NvgraceDevice, io: Transfer, position: number): void {
    for (const { bar, barSize } of memories) {
      if (!touches(io, position, bar)) continue;
      const written = new DataView(bar.bytes.slice().buffer).getBigUint64(0, true);
      const value = BigInt.asUintN(64, (written & ~(BigInt(barSize) - 1n)) | WIDE_PREFETCHABLE);
      overlay(io, position, [register(bar.at, 8, value)]);
      k.keeps(rule["NVGRACE-CONFIG-1"]);
    }
  },

  /** nvgrace_gpu_write_config_emu; the library has dropped what was written to BARs that the function has not. */
  writeBars(k: Kernel, { memories }: NvgraceDevice, io: Transfer, position: number): void {
    for (const { bar } of memories) if (takeWritten(io, position, bar)) k.keeps(rule["NVGRACE-CONFIG-2"]);
  },

  /** nvgrace_gpu_check_device_ready */
  *checkReady(k: Kernel, device: NvgraceDevice): Operation<void> {
    if (!device.wasReset || !k.since("7.0")) return;
    using _ = yield* k.lock(locksOf(device.function).memory);
    const { config } = device.function;
    const answers =
      !config || (((config.physical[COMMAND.AT] ?? 0) & COMMAND.MEMORY) !== 0 && config.powerState === D0);
    must(answers, rule["NVGRACE-RW-4"]);
  },

  /** nvgrace_gpu_read_mem. What memory holds that nobody has written can't be told. */
  *readMemory(k: Kernel, device: NvgraceDevice, memory: GpuMemory, io: Transfer, offset: number): Operation<number> {
    const { block } = io;
    must(offset < memory.barSize, rule["NVGRACE-RW-1"]);
    const count = Math.min(io.count, memory.barSize - offset);
    yield* k.nvgrace.checkReady(k, device);
    must(block.canWrite(count) || count === 0, rule["NVGRACE-RW-2"]);
    for (let i = 0; i < count; i++) {
      const at = offset + i;
      const byte = at >= memory.size ? 0xff : memory.written.get(at);
      if (byte === undefined) block.definedUpTo = Math.min(block.definedUpTo, i);
      block.bytes[i] = byte ?? 0;
    }
    device.wasReset = false;
    if (count > 0) k.keeps(rule["NVGRACE-RW-3"]);
    return count;
  },

  /** nvgrace_gpu_write_mem */
  *writeMemory(k: Kernel, device: NvgraceDevice, memory: GpuMemory, io: Transfer, offset: number): Operation<number> {
    const { block } = io;
    must(offset < memory.barSize, rule["NVGRACE-RW-1"]);
    const count = Math.min(io.count, memory.barSize - offset);
    const kept = Math.min(count, Math.max(0, memory.size - offset));
    if (kept === 0) return count;
    yield* k.nvgrace.checkReady(k, device);
    block.copyFrom(kept, rule["NVGRACE-RW-2"]);
    for (let i = 0; i < kept; i++) memory.written.set(offset + i, block.bytes[i] ?? 0);
    device.wasReset = false;
    k.keeps(rule["NVGRACE-RW-3"]);
    return count;
  },
};
