/** Calls about memory that edu copies by itself, as scenarios write them: from memory into its buffer, and from there to memory. */
import { MEMORY } from "../model/kernel/memory-map.ts";
import { Edu } from "../model/pci/edu.ts";
import type { Call, Value } from "../model/program.ts";
import { DmaMap, DmaUnmap, MAP } from "../model/vfio/type1-layouts.ts";
import { BAR0, bytesOf, writeBar } from "./bar-calls.ts";
import { ioctl } from "./calls.ts";

const { DMA_SOURCE } = Edu.REGISTER;
const { START, TO_MEMORY, INTERRUPT } = Edu.COMMAND;

export const { user: USER, userReadonly: USER_READONLY } = MEMORY;
export const READ_WRITE = MAP.READ | MAP.WRITE;

/** How a copy is begun, and whether edu interrupts when it is done. */
interface Told {
  readonly count?: number;
  readonly interrupts?: boolean;
  /** Where in the buffer. */
  readonly at?: number;
}

/** All four registers of a copy in one write, of which the command is the last. */
function begin(source: number, destination: number, command: bigint, { count = 8, interrupts = false }: Told): Call {
  const told = Number(command | START | (interrupts ? INTERRUPT : 0n));
  return writeBar(
    BAR0,
    DMA_SOURCE,
    [source, destination, count, told].flatMap((value) => bytesOf(value, 8)),
  );
}

/** Has edu read from an address. */
export const deviceReads = (iova: number, told: Told = {}): Call =>
  begin(iova, Edu.BUFFER.AT + (told.at ?? 0), 0n, told);
/** Has edu write to an address what it has read. */
export const deviceWrites = (iova: number, told: Told = {}): Call =>
  begin(Edu.BUFFER.AT + (told.at ?? 0), iova, TO_MEMORY, told);

/** Stores to the program's own memory, so many bytes behind its begin. */
export const put = (offset: number, value: number | bigint): Call => ({
  op: "store",
  at: USER,
  offset,
  width: 8,
  value,
});
/** Loads from there. */
export const look = (offset: number, at: Value = USER): Call => ({ op: "load", at, offset, width: 8 });

/** Maps memory of the program for the devices of a container. */
export const mapDma = (iova: number, size: number, vaddr: bigint, flags = READ_WRITE, fd: Value = "@container"): Call =>
  ioctl(fd, "VFIO_IOMMU_MAP_DMA", { argsz: DmaMap.size, flags, vaddr, iova, size });
export const unmapDma = (iova: number, size: number, fd: Value = "@container"): Call =>
  ioctl(fd, "VFIO_IOMMU_UNMAP_DMA", { argsz: DmaUnmap.size, iova, size });
