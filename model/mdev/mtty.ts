/** mtty: a serial card with one or two ports, that can be migrated. Beside samples/vfio-mdev/mtty.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import type { Argument } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import {
  rule as deviceRule,
  PCI_REGION,
  REGION_FLAGS,
  REGION_SIZE,
  type RegionDescription,
} from "../vfio/device-info.ts";
import type { LoggingOps } from "../vfio/dma-logging.ts";
import { rule as loggingRule } from "../vfio/dma-logging.ts";
import { IRQ_INFO, type IrqDescription } from "../vfio/irqs.ts";
import type { MigrationOps } from "../vfio/migration.ts";
import { configWrite, newConfig } from "./mtty-config.ts";
import { CardIrqs, steps as irqSteps } from "./mtty-irqs.ts";
import { CardMigration, steps as migrationSteps } from "./mtty-migration.ts";
import { steps as portSteps, SerialPort } from "./mtty-uart.ts";
import type { MdevDriver, MdevType } from "./objects.ts";
import { type Access, CONFIG_SIZE, SampleDevice, rule as sampleRule } from "./sample-device.ts";

export const rule = clauses({
  "MTTY-CREATE-1": {
    rule: "there must be as many ports left as the type has",
    errno: "ENOSPC",
    source: "samples/vfio-mdev/mtty.c:mtty_init_dev",
  },
  "MTTY-RESET-1": {
    rule: "a reset brings the migration state back to RUNNING and ends every session; registers stay as they are",
    source: "include/uapi/linux/vfio.h:vfio_device_mig_state",
    observable: "later-call",
  },
});

/** Ports of all cards together. */
const PORTS = 24;
/** Bytes of a port's registers. */
const PORT_SIZE = 8;

function sizeOf(index: number, ports: number): number {
  if (index === PCI_REGION.CONFIG) return CONFIG_SIZE;
  return index < ports ? PORT_SIZE : 0;
}

/** mtty_ioctl_get_region_info. Every index below 9 can be read and written by what it says, most of them have no size. */
export function mttyRegion(index: number, ports: number): RegionDescription {
  must(index < PCI_REGION.COUNT, deviceRule["VFIO-DEV-REGION-3"]);
  return {
    flags: REGION_FLAGS.READ | REGION_FLAGS.WRITE,
    size: sizeOf(index, ports),
    offset: index * REGION_SIZE,
    capabilities: [],
  };
}

/** Where in the card an access goes. */
export interface CardPlace {
  /** A region's index: a port, or the configuration space. */
  readonly region: number;
  readonly offset: number;
}

/** Where an offset of the device's file lies, whether or not there is anything. */
export function placeOf(position: number): CardPlace {
  return { region: Math.floor(position / REGION_SIZE), offset: position % REGION_SIZE };
}

/** struct mdev_state */
export class MttyCard extends SampleDevice {
  readonly name = "vfio-mtty";
  readonly portCount: number;
  /** Two in every card; a card of one port does not show the other. */
  readonly ports = [new SerialPort(), new SerialPort()] as const;
  readonly interrupts = new CardIrqs();
  readonly state: CardMigration;
  readonly migration?: MigrationOps;
  readonly logging?: LoggingOps;
  logs = false;

  constructor(k: Kernel, portCount: number) {
    super(k);
    this.portCount = portCount;
    this.config.set(newConfig(portCount));
    this.state = new CardMigration(this);
    if (!k.since("6.7")) return;
    this.migration = this.state;
    this.logging = loggingOf(this);
  }

  override region(index: number): RegionDescription {
    return mttyRegion(index, this.portCount);
  }

  override irqs(k: Kernel, index: number): IrqDescription {
    return k.mtty.irqInfo(index);
  }

  override setIrqs(k: Kernel, { block }: Argument): Operation<number> {
    return k.mtty.setIrqs(k, this, block);
  }

  override *access(k: Kernel, access: Access, written: number | null): Operation<number> {
    using _ = yield* k.lock(this.opsLock);
    const { region, offset } = k.mtty.place(this, access);
    if (region === PCI_REGION.CONFIG) {
      if (written !== null) configWrite(this.config, this.portCount, offset, written);
      return written ?? readConfig(this.config, offset, access.width);
    }
    const port = this.ports[region];
    if (!port) return refuse(sampleRule["SAMPLE-RW-1"]);
    // A register is a byte; the others of a wider access are not looked at, and read as zero.
    if (written !== null) yield* k.mtty.writeRegister(k, this, port, offset, written & 0xff);
    return written ?? (yield* k.mtty.readRegister(k, this, port, offset));
  }

  override *reset(k: Kernel): Operation<number> {
    if (this.migration) yield* k.mtty.reset(k, this.state);
    k.keeps(rule["MTTY-RESET-1"]);
    return 0;
  }

  override *close(k: Kernel): Operation<void> {
    yield* k.mtty.close(k, this);
  }

  override trace(): number {
    const { ports, interrupts, state, config } = this;
    let hash = ports[0].trace() ^ ports[1].trace();
    for (const byte of [0x3c, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17]) {
      hash = Math.imul(hash ^ (config[byte] ?? 0), 0x01000193);
    }
    return hash ^ interrupts.trace() ^ (state.state << 8) ^ (this.logs ? 1 << 20 : 0);
  }
}

function readConfig(config: Uint8Array, offset: number, width: 1 | 2 | 4): number {
  let value = 0;
  for (let i = width - 1; i >= 0; i--) value = (value << 8) | (config[offset + i] ?? 0);
  return value >>> 0;
}

const loggingOf = (card: MttyCard): LoggingOps => ({
  *start(k, _ranges, pageSize) {
    yield* k.mtty.startLogging(card);
    // The card logs by whatever page it is asked for.
    return pageSize;
  },
  *stop() {
    card.logs = false;
  },
  report: (k) => k.mtty.reportLogging(card),
});

export const steps = {
  ...portSteps,
  ...irqSteps,
  ...migrationSteps,

  /** mtty_get_irq_info */
  irqInfo(index: number): IrqDescription {
    if (index === 0) return { flags: IRQ_INFO.EVENTFD | IRQ_INFO.MASKABLE | IRQ_INFO.AUTOMASKED, count: 1 };
    if (index === 1) return { flags: IRQ_INFO.EVENTFD | IRQ_INFO.NORESIZE, count: 1 };
    return { flags: 0, count: 0 };
  },

  /** The head of mdev_access: the place that an access goes to, which must be one that the card has. */
  place({ portCount }: MttyCard, { position, width }: Access): CardPlace {
    const place = placeOf(position);
    must(place.offset + width <= sizeOf(place.region, portCount), sampleRule["SAMPLE-RW-1"]);
    return place;
  },

  /** mtty_close: what was opened for this user ends with it, and the next one finds the card running. */
  *close(k: Kernel, card: MttyCard): Operation<void> {
    yield* k.mtty.disableFiles(k, card.state);
    card.interrupts.disable();
    card.logs = false;
    k.mtty.forgetState(card.state);
  },

  /** mtty_log_start */
  *startLogging(card: MttyCard): Operation<void> {
    must(!card.logs, loggingRule["VFIO-DMALOG-START-8"]);
    card.logs = true;
  },

  /** mtty_log_read_and_clear */
  *reportLogging(card: MttyCard): Operation<void> {
    must(card.logs, loggingRule["VFIO-DMALOG-REPORT-4"]);
  },
};

const vendor = { file: "sample_mdev_dev", text: (uuid: string): string => `This is MDEV ${uuid}` };

const type = (portCount: number, how: string): MdevType => ({
  name: `mtty-${portCount}`,
  label: `${how} port serial`,
  description: null,
  vendor,
  units: portCount,
  probe: (k) => new MttyCard(k, portCount),
});

export const mtty: MdevDriver = {
  name: "mtty",
  countedBy: "driver",
  types: [type(1, "Single"), type(2, "Dual")],
  capacity: PORTS,
  full: rule["MTTY-CREATE-1"],
};
