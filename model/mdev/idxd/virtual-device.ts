/**
 * A virtual accelerator: one queue of the host's as a PCI device for a guest. Beside the series' struct vdcm_idxd, and its
 * operations as a VFIO device.
 */
import { clauses, refuse } from "../../kernel/clause.ts";
import type { Transfer } from "../../kernel/file.ts";
import type { Argument, Ioctl } from "../../kernel/ioctl.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { Lock, LockClass } from "../../kernel/lock.ts";
import type { Operation } from "../../kernel/operation.ts";
import { rule as vfsRule } from "../../kernel/vfs.ts";
import type { DeviceFile, PasidOps, VfioDevice, VfioDeviceOps } from "../../vfio/device.ts";
import {
  answerInfo,
  answerRegionInfo,
  DEVICE_FLAGS,
  rule as deviceRule,
  getInfo,
  getRegionInfo,
  PCI_IRQ_COUNT,
  PCI_REGION,
  REGION_FLAGS,
  REGION_SIZE,
  type RegionDescription,
  resetDevice,
} from "../../vfio/device-info.ts";
import type { LoggingOps } from "../../vfio/dma-logging.ts";
import { answerIrqInfo, getIrqInfo, rule as irqRule, setIrqs } from "../../vfio/irqs.ts";
import { type Access, units } from "../sample-device.ts";
import { CONFIG_SPACE, newConfigSpace } from "./config-space.ts";
import { DESCRIPTOR } from "./descriptor.ts";
import { DirtyLog, loggingOf } from "./dirty-log.ts";
import type { HostPasid, WorkQueue } from "./host.ts";
import { Vectors } from "./interrupts.ts";
import { initRegisters } from "./mmio.ts";
import { pasidOpsOf } from "./pasids.ts";
import { type PortalMapping, rule as portalRule } from "./portal.ts";
import { BAR0_SIZE, BAR2_SIZE, REG, REGISTERS_END } from "./registers.ts";
import { DEVICE_MAIL, IDXD } from "./sources.ts";

export const rule = clauses({
  "IDXD-REGION-1": {
    ...IDXD,
    rule: "registers, configuration space and portals are the regions; of portals the pages are told that can be mapped",
    source: DEVICE_MAIL,
    observable: "output",
  },
  "IDXD-RW-1": {
    ...IDXD,
    rule: "a region that the device has not can't be read or written; what came before is done",
    errno: "EINVAL",
    partial: true,
    source: DEVICE_MAIL,
  },
  "IDXD-RW-2": {
    ...IDXD,
    rule: "the buffer must be readable, or writable; what came before is done",
    errno: "EFAULT",
    partial: true,
    source: DEVICE_MAIL,
  },
  "IDXD-RESET-1": {
    ...IDXD,
    rule: "a reset of the function brings registers and configuration space back, and the device out of HALT; interrupts stay set up",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_RESET",
    observable: "later-call",
  },
  "IDXD-CLOSE-1": {
    ...IDXD,
    rule: "the last close leaves a device as it was made: its queue, interrupts, handles, portals and log",
    source: DEVICE_MAIL,
    observable: "later-call",
  },
});

const devLock = new LockClass("vidxd->dev_lock");
const SPARSE_MMAP = 1;
const PAGE = 4096;

export class VirtualDsa implements VfioDeviceOps {
  readonly name = "idxd-mdev";
  readonly queue: WorkQueue;
  /** What it is used with as long as the guest turns no PASIDs on. */
  readonly pasid: HostPasid;
  /** PASIDs that the guest has been given. */
  readonly guestPasids = new Map<number, HostPasid>();
  readonly vectors: Vectors;
  readonly config = newConfigSpace();
  readonly registers = new DataView(new ArrayBuffer(BAR0_SIZE));
  readonly portals: PortalMapping[] = [];
  readonly log = new DirtyLog();
  readonly logging?: LoggingOps;
  readonly pasids: PasidOps = pasidOpsOf(this);
  readonly lock = new Lock(devLock);

  /** `take` brings what it needs of the host's for good. */
  constructor(
    k: Kernel,
    queue: WorkQueue,
    take: (device: VirtualDsa) => { pasid: HostPasid; entries: (number | null)[] },
  ) {
    this.queue = queue;
    const { pasid, entries } = take(this);
    this.pasid = pasid;
    this.vectors = new Vectors(entries);
    // Before, no device of the suite logs.
    if (k.since("6.7")) this.logging = loggingOf(this);
    this.init();
  }

  /** Registers as they are after a reset. */
  init(): void {
    initRegisters(this.registers, this.queue);
  }

  /** GENSTS: a state. */
  get state(): number {
    return this.registers.getUint32(REG.GENSTS, true) & 3;
  }

  *ioctl(k: Kernel, _file: DeviceFile, command: Ioctl, { block }: Argument): Operation<number> {
    using _ = yield* k.lock(this.lock);
    switch (command.request) {
      case getInfo.request:
        answerInfo(
          k,
          block,
          {
            flags: DEVICE_FLAGS.PCI | DEVICE_FLAGS.RESET,
            regions: PCI_REGION.COUNT,
            irqs: PCI_IRQ_COUNT,
            capabilities: [],
          },
          { struct: 16, written: () => 16 },
        );
        return 0;
      case getRegionInfo.request:
        answerRegionInfo(k, block, describe);
        k.keeps(rule["IDXD-REGION-1"]);
        return 0;
      case getIrqInfo.request:
        answerIrqInfo(k, block, (index) => {
          if (index >= PCI_IRQ_COUNT) refuse(irqRule["VFIO-DEV-IRQ-3"]);
          return k.idxd.irqInfo(index);
        });
        return 0;
      case setIrqs.request:
        k.idxd.setIrqs(k, this, block);
        return 0;
      case resetDevice.request:
        k.idxd.resetFunction(k, this);
        return 0;
    }
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  /** idxd_vdcm_read */
  *read(k: Kernel, { block, count }: Transfer, position: number): Operation<number> {
    using _ = yield* k.lock(this.lock);
    const image = block.bytes.slice();
    const view = new DataView(image.buffer);
    for (const access of units(position, count)) {
      const { done, width } = access;
      const value = k.idxd.readRegion(k, this, access);
      for (let i = 0; i < width; i++) view.setUint8(done + i, (value >>> (8 * i)) & 0xff);
      block.copyTo(image, done, done + width, rule["IDXD-RW-2"]);
    }
    return count;
  }

  /** idxd_vdcm_write */
  *write(k: Kernel, { block, count }: Transfer, position: number, device: VfioDevice): Operation<number> {
    using _ = yield* k.lock(this.lock);
    if (Math.floor(position / REGION_SIZE) === 2) {
      if (count !== DESCRIPTOR) refuse(portalRule["IDXD-PORTAL-4"]);
      block.copyFrom(DESCRIPTOR, portalRule["IDXD-PORTAL-9"]);
      k.idxd.submit(k, device, this, position % REGION_SIZE, block.view);
      return count;
    }
    for (const access of units(position, count)) {
      const { done, width } = access;
      block.copyFrom(done + width, rule["IDXD-RW-2"], done);
      k.idxd.writeRegion(k, this, access, block.number(done, width));
    }
    return count;
  }

  *mmap(k: Kernel, file: DeviceFile, length: number, position: number): Operation<number> {
    return k.idxd.mapPortal(k, this, file, length, position);
  }

  *close(k: Kernel): Operation<void> {
    using _ = yield* k.lock(this.lock);
    k.idxd.closeDevice(k, this);
  }

  removed(k: Kernel): void {
    k.idxd.removeDevice(k, this);
  }

  trace(): number {
    let hash = this.vectors.trace();
    const { registers, config } = this;
    for (let at = 0; at < REGISTERS_END; at += 4) hash = Math.imul(hash ^ registers.getInt32(at), 0x01000193);
    for (let at = 0; at < 0x130; at++) hash = Math.imul(hash ^ (config[at] ?? 0), 0x01000193);
    return hash ^ (this.log.trace() << 3) ^ (this.guestPasids.size << 24) ^ (this.portals.length << 28);
  }
}

/** What GET_REGION_INFO says. */
function describe(index: number): RegionDescription {
  if (index >= PCI_REGION.COUNT) refuse(deviceRule["VFIO-DEV-REGION-3"]);
  const readWrite = REGION_FLAGS.READ | REGION_FLAGS.WRITE;
  const at = { offset: index * REGION_SIZE, capabilities: [] };
  switch (index) {
    case 0:
      return { ...at, flags: readWrite, size: BAR0_SIZE };
    case 2: {
      const areas = Array.from({ length: BAR2_SIZE / PAGE }, (_, page) => [page * PAGE, 0, PAGE, 0]);
      const words = [areas.length, 0, ...areas.flat()];
      const capabilities = [{ id: SPARSE_MMAP, version: 1, words }];
      return { ...at, flags: readWrite | REGION_FLAGS.MMAP, size: BAR2_SIZE, capabilities };
    }
    case PCI_REGION.CONFIG:
      return { ...at, flags: readWrite, size: CONFIG_SPACE };
    default:
      return { ...at, flags: 0, size: 0 };
  }
}

export const deviceSteps = {
  readRegion(k: Kernel, device: VirtualDsa, { position, width }: Access): number {
    const offset = position % REGION_SIZE;
    switch (Math.floor(position / REGION_SIZE)) {
      case 0:
        return k.idxd.readRegister(k, device, offset, width);
      case 2:
        if (offset + width > BAR2_SIZE) break;
        k.keeps(portalRule["IDXD-PORTAL-5"]);
        return 0xffff_ffff;
      case PCI_REGION.CONFIG:
        return k.idxd.readConfig(device, offset, width);
    }
    return refuse(rule["IDXD-RW-1"]);
  },

  writeRegion(k: Kernel, device: VirtualDsa, { position, width }: Access, value: number): void {
    const offset = position % REGION_SIZE;
    const region = Math.floor(position / REGION_SIZE);
    if (region === 0) k.idxd.writeRegister(k, device, offset, width, value);
    else if (region === PCI_REGION.CONFIG) k.idxd.writeConfig(k, device, offset, width, value);
    else refuse(rule["IDXD-RW-1"]);
  },

  /** VFIO_DEVICE_RESET */
  resetFunction(k: Kernel, device: VirtualDsa): void {
    k.idxd.resetDevice(k, device);
    device.config.set(newConfigSpace());
    k.keeps(rule["IDXD-RESET-1"]);
  },

  /** idxd_vdcm_close */
  closeDevice(k: Kernel, device: VirtualDsa): void {
    k.idxd.resetDevice(k, device);
    device.config.set(newConfigSpace());
    device.vectors.end();
    device.portals.length = 0;
    device.log.stop();
    k.keeps(rule["IDXD-CLOSE-1"]);
  },
};
