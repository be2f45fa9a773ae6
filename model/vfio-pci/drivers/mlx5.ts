/** mlx5-vfio-pci: virtual functions of NVIDIA ConnectX, which migrate and log. Beside drivers/vfio/pci/mlx5/main.c and cmd.c. */
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../../kernel/operation.ts";
import type { PciFunction } from "../../pci/function.ts";
import type { Mlx5Traits } from "../../pci/traits.ts";
import type { VfioDevice } from "../../vfio/device.ts";
import { type LoggedRange, type LoggingOps, rule as loggingRule, type Report } from "../../vfio/dma-logging.ts";
import { MIGRATION } from "../../vfio/migration-states.ts";
import type { IncomingStream } from "./data-file.ts";
import { MigratingDevice } from "./migrating-device.ts";
import { DriverMigration } from "./migration.ts";
import { imageOf, WholeStream } from "./opaque-state.ts";
import { DEVICE_DATA, RecordStream, record } from "./records.ts";

const source = (name: string) => `drivers/vfio/pci/mlx5/cmd.c:${name}`;
const variants = { machine: "variants" } as const;

export const rule = clauses({
  "MLX5-SAVE-1": {
    ...variants,
    rule: "a stream begins with a record of what memory the rest may need, which other drivers may skip",
    source: "drivers/vfio/pci/mlx5/main.c:mlx5vf_add_stop_copy_header",
    since: "6.3",
    observable: "output",
  },
  "MLX5-LOG-START-1": {
    ...variants,
    rule: "pages that are smaller or larger than the device logs by become its smallest, or its largest",
    source: source("mlx5vf_start_page_tracker"),
    observable: "output",
  },
  "MLX5-LOG-CLOSE-1": {
    ...variants,
    rule: "logging ends when the device is closed",
    source: source("mlx5vf_cmd_close_migratable"),
    observable: "later-call",
  },
});

const STOP_COPY_SIZE = 1;
const PAGE = 4096;
/** The largest copy before there were records. */
const MAX_MIGRATION_SIZE = 512 << 20;

class Mlx5Migration extends DriverMigration {
  override readonly flags: number;
  override readonly polls = true;
  readonly #traits: Mlx5Traits;

  constructor(k: Kernel, traits: Mlx5Traits) {
    super();
    this.flags = MIGRATION.STOP_COPY | MIGRATION.P2P | (k.since("6.2") ? MIGRATION.PRE_COPY : 0);
    this.#traits = traits;
  }

  override precopied(k: Kernel): Uint8Array {
    return this.#framed(k, this.#traits.stateSize, true);
  }

  override stopped(k: Kernel, precopied: boolean): Uint8Array {
    return this.#framed(k, precopied ? this.#traits.restSize : this.#traits.stateSize, !precopied);
  }

  /** A state of the device as it stands in a stream, at its begin or behind what was there. */
  #framed(k: Kernel, size: number, begins: boolean): Uint8Array {
    const image = imageOf("mlx5", size);
    if (!k.since("6.2")) return image;
    const whole = record(DEVICE_DATA, image);
    if (!begins || !k.since("6.3")) return whole;
    const room = new Uint8Array(8);
    new DataView(room.buffer).setBigUint64(0, BigInt(Math.ceil(this.#traits.stateSize / PAGE) * PAGE), true);
    k.keeps(rule["MLX5-SAVE-1"]);
    return Uint8Array.from([...record(STOP_COPY_SIZE, room, true), ...whole]);
  }

  override receive(k: Kernel): IncomingStream {
    const { stateSize, restSize } = this.#traits;
    const isOwn = (data: Uint8Array): boolean =>
      [stateSize, restSize].some((size) => size === data.length && Buffer.compare(data, imageOf("mlx5", size)) === 0);
    if (k.since("6.2")) return new RecordStream({ tags: [STOP_COPY_SIZE], isOwn });
    return new WholeStream(imageOf("mlx5", stateSize), MAX_MIGRATION_SIZE);
  }

  override dataSize(): number {
    return this.#traits.stateSize;
  }
}

/** struct mlx5_vhca_page_tracker, as far as a user sees it. */
class Mlx5Logging implements LoggingOps {
  readonly #limits: NonNullable<Mlx5Traits["logs"]>;
  ranges: readonly LoggedRange[] | null = null;

  constructor(limits: NonNullable<Mlx5Traits["logs"]>) {
    this.#limits = limits;
  }

  *start(k: Kernel, ranges: readonly LoggedRange[], pageSize: bigint): Operation<bigint> {
    must(this.ranges === null, loggingRule["VFIO-DMALOG-START-8"]);
    this.ranges = ranges;
    const smallest = BigInt(this.#limits.smallest);
    const largest = BigInt(this.#limits.largest);
    if (pageSize >= smallest && pageSize <= largest) return pageSize;
    k.keeps(rule["MLX5-LOG-START-1"]);
    return pageSize < smallest ? smallest : largest;
  }

  *stop(): Operation<void> {
    this.ranges = null;
  }

  *report(_k: Kernel, { iova, length }: Report): Operation<void> {
    must(this.ranges !== null, loggingRule["VFIO-DMALOG-REPORT-4"]);
    const inside = this.ranges.some(({ first, last }) => first <= iova && iova + length - 1n <= last);
    if (!inside) throw new Unmodelled("what firmware reports of addresses that it does not log");
  }
}

/** struct mlx5vf_pci_core_device */
export class Mlx5Device extends MigratingDevice {
  override readonly name = "mlx5-vfio-pci";
  declare readonly logging?: Mlx5Logging;

  /** mlx5vf_pci_init_dev */
  constructor(k: Kernel, pciFunction: PciFunction, traits: Mlx5Traits) {
    const { migratable, logs } = traits;
    super(
      pciFunction,
      migratable ? new Mlx5Migration(k, traits) : null,
      migratable && logs ? new Mlx5Logging(logs) : null,
    );
  }

  override *close(k: Kernel, device: VfioDevice): Operation<void> {
    yield* k.mlx5.closeLogging(k, this);
    yield* super.close(k, device);
  }

  override trace(device: VfioDevice): number {
    return super.trace(device) ^ (this.logging?.ranges ? 1 << 15 : 0);
  }
}

export const steps = {
  /** mlx5vf_cmd_close_migratable, as far as it is about the tracker */
  *closeLogging(k: Kernel, { logging }: Mlx5Device): Operation<void> {
    if (!logging?.ranges) return;
    yield* logging.stop();
    k.keeps(rule["MLX5-LOG-CLOSE-1"]);
  },
};
