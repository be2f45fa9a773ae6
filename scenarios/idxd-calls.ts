/** Calls about work queues of idxd and virtual accelerators of them, as scenarios write them. */
import { MEMORY } from "../model/kernel/memory-map.ts";
import { CONTROL, PCI } from "../model/mdev/idxd/config-space.ts";
import { DESCRIPTOR, FLAG } from "../model/mdev/idxd/descriptor.ts";
import { encode } from "../model/mdev/idxd/encode.ts";
import { CMD, COMMAND, REG, WQ_WORD } from "../model/mdev/idxd/registers.ts";
import type { Attribute, Call, Place, Value } from "../model/program.ts";
import { PCI_IRQ, REGION_SIZE } from "../model/vfio/device-info.ts";
import { FEATURE, FEATURE_HEADER, FEATURE_INDEX } from "../model/vfio/feature.ts";
import { IRQ_SET } from "../model/vfio/irqs.ts";
import { DmaMap } from "../model/vfio/type1-layouts.ts";
import { ioctl, openEventfd, read, throughContainer, write } from "./calls.ts";

export type VdsaType = "dedicated" | "shared";
const TYPES = { dedicated: "idxd-dsa-1dwq-v1", shared: "idxd-dsa-1swq-v1" } as const;

export const idxdType = (type: VdsaType) => ({ parent: "idxd", type: TYPES[type] });
/** Makes a virtual accelerator. */
export const createVdsa = (device: string, type: VdsaType = "dedicated"): Call => ({
  op: "sysfs-write",
  attribute: { kind: "mdev-create", ...idxdType(type) },
  text: { device },
});
export const available = (type: VdsaType): Call => ({
  op: "sysfs-read",
  attribute: { kind: "available_instances", ...idxdType(type) },
});

type QueueFile = (Attribute & { kind: "wq" })["file"];
export const writeQueue = (queue: string, file: QueueFile, text: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "wq", queue, file },
  text: { text },
});
export const readQueue = (queue: string, file: QueueFile): Call => ({
  op: "sysfs-read",
  attribute: { kind: "wq", queue, file },
});
/** Enables a queue for a driver, or disables it. */
export const queueDriver = (driver: string, file: "bind" | "unbind", text: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "wq-driver", driver, file },
  text: { text },
});
export const openQueue = (queue: string, as = "@wq"): Call => ({ op: "open", node: { kind: "wq", queue }, as });

const word = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
/** Reads and writes a register of BAR 0, 32 bits. */
export const getRegister = (at: number, device: Value = "@device"): Call => read(device, { count: 4, offset: at });
export const setRegister = (at: number, value: number, device: Value = "@device"): Call =>
  write(device, word(value), at);
/** A command, whose end is told by an interrupt where that is asked for. */
export const command = (code: number, operand = 0, interrupt = false, device: Value = "@device"): Call =>
  setRegister(REG.CMD, (code << CMD.SHIFT) | operand | (interrupt ? CMD.INTERRUPT : 0), device);

const CONFIG = 7 * REGION_SIZE;
export const getConfig = (at: number, count = 4, device: Value = "@device"): Call =>
  read(device, { count, offset: CONFIG + at });
export const setConfig = (at: number, bytes: readonly number[], device: Value = "@device"): Call =>
  write(device, bytes, CONFIG + at);
export const setBusMaster = (on: boolean, device: Value = "@device"): Call =>
  setConfig(PCI.COMMAND, [on ? 6 : 2, 0], device);
/** Address translation services, page requests and PASIDs are turned on. */
export const enablePasids = (device: Value = "@device"): readonly Call[] => [
  setConfig(CONTROL.ATS, [0, 0x80], device),
  setConfig(CONTROL.PAGE_REQUEST, [1, 0], device),
  setConfig(CONTROL.PASID, [1, 0], device),
];
/** The word of WQCFG that a guest may write. */
export const configureQueue = (value: number, device: Value = "@device"): Call =>
  setRegister(REG.WQCFG + WQ_WORD.CONTROL, value, device);
export const enableDevice: Call = command(COMMAND.ENABLE_DEVICE);
export const enableQueue: Call = command(COMMAND.ENABLE_WQ);
/** The device may master the bus, and it and its queue are enabled. */
export const start: readonly Call[] = [setBusMaster(true), enableDevice, enableQueue];

const { NONE, EVENTFD, TRIGGER } = IRQ_SET;
const IRQ_HEADER = 20;
export const setVectors = (fds: readonly Value[], first = 0, device: Value = "@device"): Call =>
  ioctl(device, "VFIO_DEVICE_SET_IRQS", {
    argsz: IRQ_HEADER + 4 * fds.length,
    flags: EVENTFD | TRIGGER,
    index: PCI_IRQ.MSIX,
    start: first,
    count: fds.length,
    data: fds,
  });
/** Eventfds for both vectors. */
export const eventfds: readonly Call[] = [
  openEventfd(),
  openEventfd("@eventfd1"),
  setVectors(["@eventfd", "@eventfd1"]),
];
export const raiseVectors = (first: number, count: number, device: Value = "@device"): Call =>
  ioctl(device, "VFIO_DEVICE_SET_IRQS", {
    argsz: IRQ_HEADER,
    flags: NONE | TRIGGER,
    index: PCI_IRQ.MSIX,
    start: first,
    count,
  });

const PORTALS = 2 * REGION_SIZE;
const PAGE = 4096;
/** Maps a portal: 0 is unlimited, 1 limited. */
export const mapPortal = (portal: number, length = PAGE, device: Value = "@device"): Call => ({
  op: "mmap",
  fd: device,
  length,
  prot: 3,
  offset: PORTALS + portal * PAGE,
});
/** Submits a descriptor through a portal, as a VMM does in the guest's place. */
export const submit = (
  descriptor: Parameters<typeof encode>[0],
  { at = 0, device = "@device" as Value, place = undefined as Place | undefined } = {},
): Call => {
  const call = write(device, encode(descriptor), PORTALS + at);
  return place === undefined || call.op !== "pwrite" ? call : { ...call, place };
};
/** Bytes that are no descriptor. */
export const submitBytes = (count: number, at = 0): Call => ({
  op: "pwrite",
  fd: "@device",
  count,
  offset: PORTALS + at,
});
export { DESCRIPTOR };
export const RECORDED = FLAG.RECORD_VALID | FLAG.RECORD;

const READ_WRITE = 3;
export const mapDma = (iova: number, size: number, container: Value = "@container"): Call =>
  ioctl(container, "VFIO_IOMMU_MAP_DMA", {
    argsz: DmaMap.size,
    flags: READ_WRITE,
    vaddr: MEMORY.user + BigInt(iova),
    iova,
    size,
  });

/** A virtual accelerator that is open through a container, with two pages of memory. */
export const guest = (type: VdsaType = "dedicated", device = "vdsa0"): readonly Call[] => [
  createVdsa(device, type),
  ...throughContainer(device),
  mapDma(0, 2 * PAGE),
];

const range = { iova_0: 0, length_0: 4 * PAGE };
export const startLog: Call = ioctl("@device", "VFIO_DEVICE_FEATURE_DMA_LOGGING_START", {
  argsz: FEATURE_HEADER + 24,
  flags: FEATURE.SET | FEATURE_INDEX.DMA_LOGGING_START,
  page_size: PAGE,
  num_ranges: 1,
  ranges: { fields: range },
});
/** Asks what was written of two pages. */
export const reportLog = (place?: Place): Call =>
  ioctl("@device", "VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT", {
    argsz: FEATURE_HEADER + 32,
    flags: FEATURE.GET | FEATURE_INDEX.DMA_LOGGING_REPORT,
    iova: 0,
    length: 2 * PAGE,
    page_size: PAGE,
    bitmap: { fields: {}, ...(place === undefined ? {} : { place }) },
  });
