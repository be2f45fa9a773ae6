/**
 * A virtual function of virtio-net that looks like a transitional one: its legacy registers are an I/O BAR that it does not have,
 * carried out by its physical function. Beside drivers/vfio/pci/virtio/legacy_io.c.
 */
import { clauses, must } from "../../kernel/clause.ts";
import type { Transfer } from "../../kernel/file.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { Unmodelled } from "../../kernel/operation.ts";
import type { Bar } from "../../topology.ts";
import { PCI_IRQ, REGION_FLAGS, REGION_SIZE, type RegionDescription } from "../../vfio/device-info.ts";
import { COMMAND } from "../config-perms.ts";
import { overlay, type Register, register, takeWritten } from "./config-overlay.ts";
import type { VirtioDevice } from "./virtio.ts";

const source = (name: string) => `drivers/vfio/pci/virtio/legacy_io.c:${name}`;
const variants = { machine: "variants", since: "6.8" } as const;

export const rule = clauses({
  "VIRTIO-LEGACY-CONFIG-1": {
    ...variants,
    rule: "device, revision, subsystem and its vendor read as those of a transitional network card",
    source: source("virtiovf_pci_read_config"),
    observable: "output",
  },
  "VIRTIO-LEGACY-CONFIG-2": {
    ...variants,
    rule: "BAR 0 reads as an I/O BAR, at what was written there, and the command register's I/O bit as it was written",
    source: source("virtiovf_pci_read_config"),
    observable: "output",
  },
  "VIRTIO-LEGACY-BAR0-1": {
    ...variants,
    rule: "BAR 0 has legacy registers and the device's, with vectors: 32 bytes, which can't be mapped",
    source: source("virtiovf_pci_ioctl_get_region_info"),
    observable: "output",
  },
  "VIRTIO-LEGACY-BAR0-2": {
    ...variants,
    rule: "BAR 0 does not answer while I/O is not enabled in the command register, as after a reset",
    errno: "EIO",
    source: source("virtiovf_pci_bar0_rw"),
  },
  "VIRTIO-LEGACY-BAR0-3": {
    ...variants,
    rule: "an access of BAR 0 lies in it, from its begin to its end",
    errno: "EINVAL",
    source: source("virtiovf_pci_bar0_rw"),
  },
  "VIRTIO-LEGACY-BAR0-4": {
    ...variants,
    rule: "the register that notifies queues is accessed as two bytes",
    errno: "EINVAL",
    source: source("virtiovf_pci_bar0_rw"),
  },
  "VIRTIO-LEGACY-BAR0-5": {
    ...variants,
    rule: "the buffer must be writable, or readable",
    errno: "EFAULT",
    source: source("virtiovf_issue_legacy_rw_cmd"),
  },
  "VIRTIO-LEGACY-BAR0-6": {
    ...variants,
    rule: "an access of one register is carried out",
    source: source("virtiovf_issue_legacy_rw_cmd"),
  },
});

const VIRTIO_NET = 0x1041;
const TRANSITIONAL_NET = 0x1000;
const NETWORK = 1;
const QUMRANET = 0x1af4;
const IO_SPACE = 1;
/** VIRTIO_PCI_CONFIG_OFF, and behind it a network card's MAC address and status. */
const DEVICE_CONFIG = { PLAIN: 20, WITH_VECTORS: 24 } as const;
const SIZE = 32;
const NOTIFY = 16;
/** Registers by offset and width: features of host and guest, queue's address, size, number; status, interrupts; vectors. */
const REGISTERS = new Map<number, number>([
  [0, 4],
  [4, 4],
  [8, 4],
  [12, 2],
  [14, 2],
  [18, 1],
  [19, 1],
  [20, 2],
  [22, 2],
]);

/** What of struct virtiovf_pci_core_device is about legacy registers. */
export class LegacyIo {
  readonly command = register(COMMAND.AT, 2, 0);
  readonly bar0 = register(0x10, 4, 0);

  /** virtiovf_support_legacy_io */
  static serves(device: number, bars: readonly (Bar | null)[]): boolean {
    return device === VIRTIO_NET && bars[0] === null;
  }

  get enabled(): boolean {
    return ((this.command.bytes[0] ?? 0) & COMMAND.IO) !== 0;
  }

  /** Notes what a write of the configuration space brings. */
  written(io: Transfer, position: number): void {
    takeWritten(io, position, this.command);
    takeWritten(io, position, this.bar0);
  }

  /** virtiovf_legacy_io_reset_done */
  resetDone(): void {
    this.command.bytes.fill(0);
  }

  /** For whoever opens the device next. */
  forget(): void {
    this.command.bytes.fill(0);
    this.bar0.bytes.fill(0);
  }

  /** The BAR as it reads: as large as it is, and for I/O. */
  get bar0Reads(): Register {
    const written = new DataView(this.bar0.bytes.slice().buffer).getUint32(0, true);
    return register(0x10, 4, ((written & ~(SIZE - 1)) | IO_SPACE) >>> 0);
  }

  trace(): number {
    let hash = 0;
    for (const byte of [...this.command.bytes, ...this.bar0.bytes]) hash = Math.imul(hash ^ byte, 0x01000193);
    return hash;
  }
}

const IDENTITY: readonly Register[] = [
  register(0x02, 2, TRANSITIONAL_NET),
  register(0x08, 1, 0),
  register(0x2c, 2, QUMRANET),
  register(0x2e, 2, NETWORK),
];

export const steps = {
  /** virtiovf_pci_ioctl_get_region_info */
  bar0Region(k: Kernel): RegionDescription {
    k.keeps(rule["VIRTIO-LEGACY-BAR0-1"]);
    return { flags: REGION_FLAGS.READ | REGION_FLAGS.WRITE, size: SIZE, offset: 0, capabilities: [] };
  },

  /** virtiovf_pci_read_config, behind the library's */
  overlayConfig(k: Kernel, legacy: LegacyIo, io: Transfer, position: number): void {
    overlay(io, position, IDENTITY);
    overlay(io, position, [legacy.bar0Reads]);
    const at = position % REGION_SIZE;
    if (legacy.enabled && at <= COMMAND.AT && COMMAND.AT < at + io.count) {
      io.block.bytes[COMMAND.AT - at] = (io.block.bytes[COMMAND.AT - at] ?? 0) | COMMAND.IO;
    }
    const reads = (byte: number): boolean => at <= byte && byte < at + io.count;
    if (IDENTITY.some((each) => reads(each.at))) k.keeps(rule["VIRTIO-LEGACY-CONFIG-1"]);
    if (reads(0x10) || reads(COMMAND.AT)) k.keeps(rule["VIRTIO-LEGACY-CONFIG-2"]);
  },

  /** The head of virtiovf_pci_bar0_rw */
  checkBar0(k: Kernel, legacy: LegacyIo, count: number, position: number): void {
    must(legacy.enabled, rule["VIRTIO-LEGACY-BAR0-2"]);
    must(position + count <= k.virtioVfio.bar0Region(k).size, rule["VIRTIO-LEGACY-BAR0-3"]);
    if (position === NOTIFY) must(count === 2, rule["VIRTIO-LEGACY-BAR0-4"]);
  },

  /** Refuses to tell what a physical function makes of accesses that are none of one register. */
  foreseeBar0({ function: { irqs } }: VirtioDevice, count: number, position: number): void {
    if (position === NOTIFY) throw new Unmodelled("what a device does that is notified");
    const vectors = irqs.inUse === PCI_IRQ.MSIX;
    const config = vectors ? DEVICE_CONFIG.WITH_VECTORS : DEVICE_CONFIG.PLAIN;
    if (position < config ? REGISTERS.get(position) === count : position + count <= config + 8) return;
    throw new Unmodelled("an access of legacy registers that is none of one register");
  },

  /** virtiovf_pci_bar0_rw, reading. What the registers hold is the device's. */
  readBar0(k: Kernel, device: VirtioDevice, legacy: LegacyIo, { block, count }: Transfer, position: number): number {
    k.virtioVfio.checkBar0(k, legacy, count, position);
    k.virtioVfio.foreseeBar0(device, count, position);
    must(block.canWrite(count), rule["VIRTIO-LEGACY-BAR0-5"]);
    block.definedUpTo = 0;
    k.keeps(rule["VIRTIO-LEGACY-BAR0-6"]);
    return count;
  },

  /** virtiovf_pci_bar0_rw, writing */
  writeBar0(k: Kernel, device: VirtioDevice, legacy: LegacyIo, { block, count }: Transfer, position: number): number {
    k.virtioVfio.checkBar0(k, legacy, count, position);
    k.virtioVfio.foreseeBar0(device, count, position);
    block.copyFrom(count, rule["VIRTIO-LEGACY-BAR0-5"]);
    k.keeps(rule["VIRTIO-LEGACY-BAR0-6"]);
    return count;
  },
};
