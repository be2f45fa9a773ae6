/** mdpy: a display with a frame buffer. Beside samples/vfio-mdev/mdpy.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import type { Argument, Ioctl } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { DeviceFile } from "../vfio/device.ts";
import { rule as deviceRule, PCI_REGION, REGION_FLAGS, type RegionDescription } from "../vfio/device-info.ts";
import { answerGfxPlane, queryGfxPlane } from "../vfio/gfx-plane.ts";
import type { IrqDescription } from "../vfio/irqs.ts";
import type { MdevDriver, MdevType } from "./objects.ts";
import { type Access, CONFIG_SIZE, SampleDevice, rule as sampleRule } from "./sample-device.ts";

const source = (name: string) => `samples/vfio-mdev/mdpy.c:${name}`;

export const rule = clauses({
  "MDPY-CREATE-1": {
    rule: "there must be fewer devices than the parent takes, all types counted",
    errno: "EUSERS",
    source: "drivers/vfio/mdev/mdev_core.c:mdev_device_create",
  },
  "MDPY-IRQS-1": {
    rule: "a display without interrupts lets none be set",
    errno: "EINVAL",
    source: source("mdpy_ioctl"),
  },
  "MDPY-MMAP-1": {
    rule: "the frame buffer can be mapped, from its begin on and no further than it goes, by who may write it",
    errno: "EINVAL",
    source: source("mdpy_mmap"),
  },
  "MDPY-RESET-1": {
    rule: "a reset draws the picture that a new display has",
    source: source("mdpy_reset"),
    observable: "later-call",
  },
});

/** Devices at the most, unless the module's parameter `count` says otherwise. */
const MAX_INSTANCES = 4;
/** The frame buffer is BAR 0, and a region of its own to what shows it. */
const DISPLAY_REGION = 16;
const MEMORY_OFFSET = 4096;
const BYTES_PER_PIXEL = 4;
/** DRM_FORMAT_XRGB8888: "XR24". */
const XRGB8888 = 0x3432_5258;
const BAR0 = 0x10;
/** Bits of a memory BAR that are no address; this one is prefetchable. */
const BAR_TYPE_BITS = 0xf;
const PREFETCHABLE = 8;
const ALL_ONES = 0xffff_ffff;

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

/** struct mdev_state */
export class MdpyDisplay extends SampleDevice {
  readonly name = "mdpy";
  readonly width: number;
  readonly height: number;
  /** Bytes of the frame buffer. */
  readonly memory: number;
  /** What was written since the picture was drawn, by offset. */
  readonly written = new Map<number, number>();

  constructor(k: Kernel, width: number, height: number) {
    super(k);
    this.width = width;
    this.height = height;
    this.memory = frameBufferSize(width, height);
    const view = new DataView(this.config.buffer);
    for (const [at, value] of [
      [0x00, 0x000f_1b36],
      [0x04, 0x0010_0003],
      [0x08, 0x0380_0001],
      [BAR0, PREFETCHABLE],
      [0x2c, 0x1100_1af4],
      [0x34, 0x40],
      [0x40, 0x0010_0009],
      [0x44, XRGB8888],
      [0x48, width],
      [0x4c, height],
    ] as const) {
      view.setUint32(at, value, true);
    }
  }

  override region(index: number): RegionDescription {
    return mdpyRegion(index, this.memory);
  }

  override irqs(k: Kernel): IrqDescription {
    return k.mdpy.irqInfo();
  }

  override *setIrqs(): Operation<number> {
    return refuse(rule["MDPY-IRQS-1"]);
  }

  override *ioctl(k: Kernel, file: DeviceFile, command: Ioctl, arg: Argument): Operation<number> {
    if (command.request !== queryGfxPlane.request) return yield* super.ioctl(k, file, command, arg);
    answerGfxPlane(k, arg.block, {
      format: XRGB8888,
      width: this.width,
      height: this.height,
      stride: this.width * BYTES_PER_PIXEL,
      size: this.memory,
      region: DISPLAY_REGION,
    });
    return 0;
  }

  override *access(k: Kernel, access: Access, written: number | null): Operation<number> {
    using _ = yield* k.lock(this.opsLock);
    const { position, width } = access;
    if (position + width <= CONFIG_SIZE) {
      if (written !== null && position === BAR0) this.#moveBar(written);
      return written ?? this.#readConfig(access);
    }
    must(position >= MEMORY_OFFSET && position + width <= MEMORY_OFFSET + this.memory, sampleRule["SAMPLE-RW-1"]);
    const offset = k.mdpy.memoryOffset(position);
    let value = 0;
    for (let i = width - 1; i >= 0; i--) {
      if (written !== null) this.written.set(offset + i, (written >>> (8 * i)) & 0xff);
      else value = (value << 8) | this.pixel(offset + i);
    }
    return value >>> 0;
  }

  /** A byte of the frame buffer: rows that grow brighter, unless something else was drawn. */
  pixel(offset: number): number {
    const row = Math.floor(offset / (this.width * BYTES_PER_PIXEL));
    return this.written.get(offset) ?? (row < this.height ? Math.floor((row * 255) / this.height) : 0);
  }

  #readConfig({ position, width }: Access): number {
    const view = new DataView(this.config.buffer);
    return width === 4
      ? view.getUint32(position, true)
      : width === 2
        ? view.getUint16(position, true)
        : view.getUint8(position);
  }

  #moveBar(value: number): void {
    const address = value === ALL_ONES ? -this.memory : value & ~BAR_TYPE_BITS;
    const view = new DataView(this.config.buffer);
    view.setUint32(BAR0, (address | (view.getUint8(BAR0) & BAR_TYPE_BITS)) >>> 0, true);
  }

  /** mdpy_reset: what lies behind the picture stays. */
  override *reset(k: Kernel): Operation<number> {
    const end = this.height * this.width * BYTES_PER_PIXEL;
    for (const offset of this.written.keys()) if (offset < end) this.written.delete(offset);
    k.keeps(rule["MDPY-RESET-1"]);
    return 0;
  }

  *mmap(k: Kernel, _file: DeviceFile, length: number, offset: number, shared: boolean): Operation<number> {
    must(shared && offset === MEMORY_OFFSET && length <= this.memory, rule["MDPY-MMAP-1"]);
    return k.chooseAddress();
  }

  override trace(): number {
    let hash = new DataView(this.config.buffer).getUint32(BAR0, true);
    for (const [offset, byte] of this.written) hash = Math.imul(hash ^ offset, 0x01000193) ^ byte;
    return hash;
  }
}

export const steps = {
  /** mdpy_get_irq_info */
  irqInfo(): IrqDescription {
    return { flags: 0, count: 0 };
  },

  /** Where in the frame buffer a position of the device's file lies. */
  memoryOffset(position: number): number {
    return position - MEMORY_OFFSET;
  },
};

const type = (name: string, width: number, height: number): MdevType => ({
  name,
  label: name,
  description: `virtual display, ${width}x${height} framebuffer`,
  vendor: { file: "resolution", text: () => `${width}x${height}` },
  units: 1,
  probe: (k) => new MdpyDisplay(k, width, height),
});

export const mdpy: MdevDriver = {
  name: "mdpy",
  countedBy: "core",
  types: [type("mdpy-vga", 640, 480), type("mdpy-xga", 1024, 768), type("mdpy-hd", 1920, 1080)],
  capacity: MAX_INSTANCES,
  full: rule["MDPY-CREATE-1"],
};
