/** pds-vfio-pci: virtual functions of AMD/Pensando adapters. Beside drivers/vfio/pci/pds/{vfio_dev,lm,dirty,pci_drv}.c. */
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../../kernel/operation.ts";
import type { PciFunction } from "../../pci/function.ts";
import type { PdsTraits } from "../../pci/traits.ts";
import type { VfioDevice } from "../../vfio/device.ts";
import { type LoggedRange, type LoggingOps, rule as loggingRule, type Report } from "../../vfio/dma-logging.ts";
import { MIGRATION, type MigrationState, STATE } from "../../vfio/migration-states.ts";
import type { IncomingStream } from "./data-file.ts";
import { MigratingDevice } from "./migrating-device.ts";
import { DriverMigration } from "./migration.ts";
import { imageOf, WholeStream } from "./opaque-state.ts";

const source = (name: string) => `drivers/vfio/pci/pds/dirty.c:${name}`;
const variants = { machine: "variants", since: "6.6" } as const;

export const rule = clauses({
  "PDS-LOG-START-1": {
    ...variants,
    rule: "bitmaps of ranges begin at multiples of eight bytes: each range has a multiple of 64 pages",
    errno: "EINVAL",
    source: source("pds_vfio_dirty_alloc_regions"),
  },
  "PDS-LOG-REPORT-1": {
    ...variants,
    rule: "what is reported lies in one of the ranges that are logged",
    errno: "EINVAL",
    source: source("pds_vfio_dirty_sync"),
  },
  "PDS-LOG-STOP-1": {
    ...variants,
    rule: "logging ends when a copy of the stopped device is over, and when the device is closed",
    source: "drivers/vfio/pci/pds/lm.c:pds_vfio_step_device_state_locked",
    observable: "later-call",
  },
  "PDS-RECOVER-1": {
    ...variants,
    rule: "when firmware has recovered by itself a device that is being migrated is in ERROR, its sessions and its logging at an end",
    source: "drivers/vfio/pci/pds/pci_drv.c:pds_vfio_recovery",
    observable: "later-call",
    unseen: "it takes firmware that recovers by itself while the device is migrated",
  },
});

/** PDS_LM_DEVICE_STATE_LENGTH */
const STATE_LENGTH = 65536;
/** A byte of a bitmap, and the word of eight of them that the device writes. */
const PAGES_OF_A_BYTE = 8n;
const PAGES_OF_A_WORD = 64n;

/** struct pds_vfio_dirty */
class PdsLogging implements LoggingOps {
  readonly #maxRegions: number;
  ranges: readonly LoggedRange[] | null = null;

  constructor({ maxRegions }: PdsTraits) {
    this.#maxRegions = maxRegions;
  }

  *start(k: Kernel, ranges: readonly LoggedRange[], pageSize: bigint): Operation<bigint> {
    must(this.ranges === null, loggingRule["VFIO-DMALOG-START-8"]);
    if (ranges.length > this.#maxRegions) throw new Unmodelled("ranges that are put together for want of regions");
    k.pds.checkRanges(ranges, pageSize);
    this.ranges = ranges;
    return pageSize;
  }

  *stop(): Operation<void> {
    this.ranges = null;
  }

  *report(k: Kernel, { iova, length }: Report): Operation<void> {
    must(this.ranges !== null, loggingRule["VFIO-DMALOG-REPORT-4"]);
    k.pds.checkReported(this.ranges, iova, length);
  }
}

class PdsMigration extends DriverMigration {
  override readonly flags = MIGRATION.STOP_COPY | MIGRATION.P2P;
  readonly #traits: PdsTraits;
  readonly #logging: PdsLogging;

  constructor(traits: PdsTraits, logging: PdsLogging) {
    super();
    this.#traits = traits;
    this.#logging = logging;
  }

  override precopied(): Uint8Array {
    throw new Error("pds copies no device that runs");
  }

  override stopped(): Uint8Array {
    return imageOf("pds", this.#traits.stateSize);
  }

  override receive(): IncomingStream {
    return new WholeStream(imageOf("pds", this.#traits.stateSize), STATE_LENGTH);
  }

  override dataSize(): number {
    return STATE_LENGTH;
  }

  override *walked(k: Kernel, from: MigrationState): Operation<void> {
    if (from === STATE.STOP_COPY) yield* k.pds.endLogging(k, this.#logging);
  }
}

/** struct pds_vfio_pci_device */
export class PdsDevice extends MigratingDevice {
  override readonly name = "pds-vfio";
  declare readonly migration: PdsMigration;
  declare readonly logging: PdsLogging;

  constructor(pciFunction: PciFunction, traits: PdsTraits) {
    const logging = new PdsLogging(traits);
    super(pciFunction, new PdsMigration(traits, logging), logging);
  }

  override *close(k: Kernel, device: VfioDevice): Operation<void> {
    yield* k.pds.endLogging(k, this.logging);
    yield* super.close(k, device);
  }

  override trace(device: VfioDevice): number {
    return super.trace(device) ^ (this.logging.ranges ? 1 << 15 : 0);
  }
}

export const steps = {
  /** pds_vfio_dirty_alloc_regions, as far as it refuses */
  checkRanges(ranges: readonly LoggedRange[], pageSize: bigint): void {
    for (const { first, last } of ranges) {
      const pages = (last - first + pageSize) / pageSize;
      if (pages % PAGES_OF_A_BYTE !== 0n) throw new Unmodelled("a bitmap that ends within a byte");
      must(pages % PAGES_OF_A_WORD === 0n, rule["PDS-LOG-START-1"]);
    }
  },

  /** pds_vfio_dirty_sync, as far as it refuses */
  checkReported(ranges: readonly LoggedRange[], iova: bigint, length: bigint): void {
    const inside = ranges.some(({ first, last }) => first <= iova && iova + length - 1n <= last);
    must(inside && length > 0n, rule["PDS-LOG-REPORT-1"]);
  },

  /** pds_vfio_dirty_disable */
  *endLogging(k: Kernel, logging: PdsLogging): Operation<void> {
    if (!logging.ranges) return;
    yield* logging.stop();
    k.keeps(rule["PDS-LOG-STOP-1"]);
  },

  /** pds_vfio_recovery: firmware has come back from an error of its own. */
  *recover(k: Kernel, { migration, logging }: PdsDevice): Operation<void> {
    using _ = yield* k.lock(migration.stateMutex);
    if (migration.state === STATE.ERROR || (migration.state === STATE.RUNNING && !logging.ranges)) return;
    yield* k.migrating.disableFiles(k, migration);
    yield* logging.stop();
    migration.state = STATE.ERROR;
    k.keeps(rule["PDS-RECOVER-1"]);
  },
};
