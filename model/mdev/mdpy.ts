/** mdpy: a display with a frame buffer. Beside samples/vfio-mdev/mdpy.c. */
import { clauses, must } from "../kernel/clause.ts";
import {
  DEVICE_REQUEST,
  rule as deviceRule,
  PCI_REGION,
  REGION_FLAGS,
  type RegionDescription,
} from "../vfio/device-info.ts";
import type { MdevDriver, MdevType } from "./objects.ts";
import { CONFIG_SIZE, sampleOps } from "./sample-device.ts";

export const rule = clauses({
  "MDPY-CREATE-1": {
    rule: "there must be fewer devices than the parent takes, all types counted",
    errno: "EUSERS",
    source: "drivers/vfio/mdev/mdev_core.c:mdev_device_create",
  },
});

/** Devices at the most, unless the module's parameter `count` says otherwise. */
const MAX_INSTANCES = 4;
/** The frame buffer is BAR 0, and a region of its own to what shows it. */
const DISPLAY_REGION = 16;
const MEMORY_OFFSET = 4096;
const BYTES_PER_PIXEL = 4;

/** mdpy_ioctl_get_region_info, for a frame buffer of so many bytes */
export function mdpyRegion(index: number, memory: number): RegionDescription {
  must(index < PCI_REGION.COUNT || index === DISPLAY_REGION, deviceRule["VFIO-DEV-REGION-3"]);
  const readWrite = REGION_FLAGS.READ | REGION_FLAGS.WRITE;
  switch (index) {
    case PCI_REGION.CONFIG:
      return { flags: readWrite, size: CONFIG_SIZE, offset: 0, capabilities: [] };
    case 0:
    case DISPLAY_REGION:
      return { flags: readWrite | REGION_FLAGS.MMAP, size: memory, offset: MEMORY_OFFSET, capabilities: [] };
    default:
      return { flags: 0, size: 0, offset: 0, capabilities: [] };
  }
}

/** Bytes of a frame buffer: the next power of two. */
export function frameBufferSize(width: number, height: number): number {
  return 2 ** Math.ceil(Math.log2(width * height * BYTES_PER_PIXEL));
}

function type(name: string, width: number, height: number): MdevType {
  const memory = frameBufferSize(width, height);
  const unmodelled = new Set<number>([
    DEVICE_REQUEST.GET_IRQ_INFO,
    DEVICE_REQUEST.SET_IRQS,
    DEVICE_REQUEST.QUERY_GFX_PLANE,
    DEVICE_REQUEST.FEATURE,
  ]);
  return {
    name,
    label: name,
    description: `virtual display, ${width}x${height} framebuffer`,
    vendor: { file: "resolution", text: () => `${width}x${height}` },
    units: 1,
    ops: sampleOps({ name: "mdpy", mmap: true, region: (index) => mdpyRegion(index, memory), unmodelled }),
  };
}

export const mdpy: MdevDriver = {
  name: "mdpy",
  countedBy: "core",
  types: [type("mdpy-vga", 640, 480), type("mdpy-xga", 1024, 768), type("mdpy-hd", 1920, 1080)],
  capacity: MAX_INSTANCES,
  full: rule["MDPY-CREATE-1"],
};
