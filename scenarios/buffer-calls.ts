/** Calls about buffers of a function that is open as `@device`, beside an iommufd with the IOAS `@ioas`. */
import type { Around } from "../model/ioctl-calls.ts";
import { PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Fields, Value } from "../model/program.ts";
import { FEATURE, FEATURE_INDEX } from "../model/vfio/feature.ts";
import { allocIoas, ioctl, throughNode } from "./calls.ts";
import { mapFile } from "./ioas-files.ts";
import { refused, type Step } from "./scenario.ts";

/** Kernels that lend BARs, and devices that are opened through their nodes. */
export const BUFFERS = { since: "6.19", kconfig: ["IOMMUFD", "VFIO_DEVICE_CDEV", "VFIO_PCI_DMABUF"] } as const;

/** A range, by its offset and length. */
export type Range = readonly [offset: number | bigint, length: number | bigint];

export const WHOLE_PAGE: Range = [0, PAGE];
const HEADER = 24;
const RANGE = 16;
const O_RDWR = 2;

/** Asks for a buffer of ranges of a BAR. */
export const askBuffer = (ranges: readonly Range[], fields: Fields = {}, around: Around = {}): Call => {
  const named = ranges.flatMap(([offset, length], n) => [
    [`offset_${n}`, offset],
    [`length_${n}`, length],
  ]);
  return ioctl(
    "@device",
    "VFIO_DEVICE_FEATURE_DMA_BUF",
    {
      argsz: HEADER + ranges.length * RANGE,
      flags: FEATURE.GET | FEATURE_INDEX.DMA_BUF,
      open_flags: O_RDWR,
      nr_ranges: ranges.length,
      ...Object.fromEntries(named),
      ...fields,
    },
    around,
  );
};

/** Makes a buffer, to be known as `as`. */
export const barBuffer = (ranges: readonly Range[] = [WHOLE_PAGE], fields: Fields = {}, as = "@dma-buf"): Call =>
  askBuffer(ranges, fields, { as });

/** Maps a buffer at the IOVA with that number of pages. */
export const mapBuffer = (iovaPage: number, fd: Value = "@dma-buf", fields: Fields = {}): Call =>
  mapFile({ fd, iova: iovaPage * PAGE, ...fields });

/** A function, open and with an IOAS that it is not attached to. */
export const openLender = (device: string): readonly Call[] => [...throughNode(device), allocIoas("@iommufd")];

/** Its buffer is not lent. */
export const notLent = (fd: Value = "@dma-buf"): Step => refused("ENODEV", mapBuffer(0x40, fd));
