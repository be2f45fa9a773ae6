/** hisi-acc-vfio-pci: virtual functions of HiSilicon accelerators. Beside drivers/vfio/pci/hisilicon/hisi_acc_vfio_pci.c. */
import { clauses, must } from "../../kernel/clause.ts";
import type { Transfer } from "../../kernel/file.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { PAGE } from "../../kernel/memory-map.ts";
import type { Operation } from "../../kernel/operation.ts";
import type { PciFunction } from "../../pci/function.ts";
import type { HisiAccTraits } from "../../pci/traits.ts";
import type { DeviceFile, VfioDevice } from "../../vfio/device.ts";
import { REGION_FLAGS, REGION_SIZE, type RegionDescription } from "../../vfio/device-info.ts";
import { MIGRATION } from "../../vfio/migration-states.ts";
import type { IncomingStream } from "./data-file.ts";
import { MigratingDevice } from "./migrating-device.ts";
import { DriverMigration, rule as migrationRule } from "./migration.ts";
import { WholeStream } from "./opaque-state.ts";

const source = (name: string) => `drivers/vfio/pci/hisilicon/hisi_acc_vfio_pci.c:${name}`;
const variants = { machine: "variants" } as const;

export const rule = clauses({
  "HISI-ACC-BAR2-1": {
    ...variants,
    rule: "of BAR 2 a user has the first half; the other, which migrates the device, is the driver's",
    source: source("hisi_acc_vfio_ioctl_get_region"),
    observable: "output",
  },
  "HISI-ACC-BAR2-2": {
    ...variants,
    rule: "nothing is read or written from the half of BAR 2 on that is the driver's",
    errno: "EINVAL",
    source: source("hisi_acc_pci_rw_access_check"),
  },
  "HISI-ACC-BAR2-3": {
    ...variants,
    rule: "no mapping of BAR 2 reaches into the half that is the driver's",
    errno: "EINVAL",
    source: source("hisi_acc_vfio_pci_mmap"),
  },
  "HISI-ACC-SAVE-1": {
    ...variants,
    rule: "a stream begins with what tells whether another device matches: magic, device, queues",
    source: source("vf_qm_get_match_data"),
    observable: "output",
  },
  "HISI-ACC-SAVE-2": {
    ...variants,
    rule: "a device whose queues no driver has made ready has nothing else to be saved",
    source: source("vf_qm_state_save"),
    observable: "output",
  },
  "HISI-ACC-WRITE-1": {
    ...variants,
    rule: "magic, device and queues must be those of the device: what completes others is refused, and not taken",
    errno: "EFAULT",
    source: source("hisi_acc_vf_resume_write"),
  },
});

const BAR2 = 2;
/** offsetofend(struct acc_vf_data, qm_rsv_state), and sizeof it */
const MATCH_SIZE = 40;
const DATA_SIZE = 176;
const MAGIC = 0xaacc_feed_deca_deden;
/** QM_READY and QM_NOT_READY */
const READY = 0;
const NOT_READY = 1;
/** Addresses of the queues' memory: what a driver in a guest has told the device. */
const QUEUES_AT = 0x1000_0000n;

/** struct acc_vf_data of a device, stopped or not. */
function stateOf(device: number, { queues, ready }: HisiAccTraits, stopped: boolean): Uint8Array {
  const bytes = new Uint8Array(DATA_SIZE);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, MAGIC, true);
  view.setUint32(8, queues, true);
  view.setUint32(12, device, true);
  view.setUint32(20, queues, true);
  view.setUint16(28, 1, true);
  if (!stopped) return bytes;
  view.setUint32(24, ready ? READY : NOT_READY, true);
  for (let i = 0; i < 4; i++) view.setBigUint64(144 + 8 * i, QUEUES_AT + BigInt(i * PAGE), true);
  return bytes;
}

class MatchedStream extends WholeStream {
  readonly #match: Uint8Array;

  constructor(expected: Uint8Array) {
    super(expected, DATA_SIZE);
    this.#match = expected.subarray(0, MATCH_SIZE);
  }

  /** vf_qm_check_match, when all that it looks at has come: magic, queues and device. */
  override check(k: Kernel, bytes: Uint8Array): void {
    if (bytes.length >= MATCH_SIZE && this.came.length < MATCH_SIZE) k.hisiAcc.checkMatch(this.#match, bytes);
  }

  /** vf_qm_load_data. What the queues' registers are to be, the device takes as it comes. */
  override load(k: Kernel): void {
    if (this.came.length !== MATCH_SIZE) k.hisiAcc.checkWhole(this);
  }
}

class HisiAccMigration extends DriverMigration {
  override readonly flags: number;
  readonly #device: number;
  readonly #traits: HisiAccTraits;

  constructor(k: Kernel, device: number, traits: HisiAccTraits) {
    super();
    this.flags = MIGRATION.STOP_COPY | (k.since("6.2") ? MIGRATION.PRE_COPY : 0);
    this.#device = device;
    this.#traits = traits;
  }

  override precopied(k: Kernel): Uint8Array {
    k.keeps(rule["HISI-ACC-SAVE-1"]);
    return stateOf(this.#device, this.#traits, false).subarray(0, MATCH_SIZE);
  }

  override stopped(k: Kernel, precopied: boolean): Uint8Array {
    const { ready } = this.#traits;
    k.keeps(rule[ready ? "HISI-ACC-SAVE-1" : "HISI-ACC-SAVE-2"]);
    const state = stateOf(this.#device, this.#traits, true);
    return state.subarray(precopied ? MATCH_SIZE : 0, ready ? DATA_SIZE : MATCH_SIZE);
  }

  override receive(): IncomingStream {
    return new MatchedStream(stateOf(this.#device, this.#traits, true));
  }

  override dataSize(): number {
    return DATA_SIZE;
  }
}

/** struct hisi_acc_vf_core_device */
export class HisiAccDevice extends MigratingDevice {
  override readonly name: string;

  /** hisi_acc_vfio_pci_probe: without a physical function that can migrate it, the device is as any. */
  constructor(k: Kernel, pciFunction: PciFunction, traits: HisiAccTraits) {
    const { migratable } = traits;
    super(pciFunction, migratable ? new HisiAccMigration(k, pciFunction.spec.device, traits) : null);
    this.name = migratable ? "hisi-acc-vfio-pci-migration" : "hisi-acc-vfio-pci";
  }

  /** Bytes of BAR 2 that a user has, where that is not all of it. */
  get half(): number | null {
    return this.migration ? (this.function.spec.bars[BAR2]?.size ?? 0) / 2 : null;
  }

  override region(k: Kernel, index: number): RegionDescription {
    const size = k.hisiAcc.half(this);
    if (index !== BAR2 || size === null) return super.region(k, index);
    k.keeps(rule["HISI-ACC-BAR2-1"]);
    const flags = REGION_FLAGS.READ | REGION_FLAGS.WRITE | REGION_FLAGS.MMAP;
    return { flags, size, offset: BAR2 * REGION_SIZE, capabilities: [] };
  }

  override *read(k: Kernel, io: Transfer, position: number, device: VfioDevice): Operation<number> {
    return yield* super.read(k, { ...io, count: k.hisiAcc.within(k, this, io.count, position) }, position, device);
  }

  override *write(k: Kernel, io: Transfer, position: number, device: VfioDevice): Operation<number> {
    return yield* super.write(k, { ...io, count: k.hisiAcc.within(k, this, io.count, position) }, position, device);
  }

  override *mmap(k: Kernel, file: DeviceFile, length: number, offset: number, shared: boolean): Operation<number> {
    const half = k.hisiAcc.half(this);
    if (Math.floor(offset / REGION_SIZE) === BAR2 && half !== null) {
      const end = (offset % REGION_SIZE) + Math.ceil(length / PAGE) * PAGE;
      must(end <= half, rule["HISI-ACC-BAR2-3"]);
    }
    return yield* super.mmap(k, file, length, offset, shared);
  }
}

export const steps = {
  /** hisi_acc_get_resource_len, where the device has migration; null where it has not. */
  half(device: HisiAccDevice): number | null {
    return device.half;
  },

  /** hisi_acc_pci_rw_access_check: as much of a transfer as does not reach into the driver's half. */
  within(k: Kernel, device: HisiAccDevice, count: number, position: number): number {
    const half = k.hisiAcc.half(device);
    if (half === null || Math.floor(position / REGION_SIZE) !== BAR2) return count;
    const at = position % REGION_SIZE;
    must(at < half, rule["HISI-ACC-BAR2-2"]);
    return Math.min(count, half - at);
  },

  /** vf_qm_check_match: whether what came first is of a device like this. */
  checkMatch(own: Uint8Array, came: Uint8Array): void {
    for (let at = 0; at < 20; at++) must(own[at] === came[at], rule["HISI-ACC-WRITE-1"]);
  },

  checkWhole(stream: WholeStream): void {
    must(stream.came.length >= DATA_SIZE, migrationRule["VARIANT-MIG-LOAD-1"]);
  },
};
