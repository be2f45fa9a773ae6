/** What mtty and mdpy have in common: an emulated PCI device that answers a few commands (samples/vfio-mdev). */
import { type Clause, clauses, must, refuse } from "../kernel/clause.ts";
import type { Transfer } from "../kernel/file.ts";
import type { Argument, Ioctl } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import type { DeviceFile, VfioDevice, VfioDeviceOps } from "../vfio/device.ts";
import {
  answerInfo,
  answerRegionInfo,
  DEVICE_FLAGS,
  getInfo,
  getRegionInfo,
  type InfoSize,
  PCI_IRQ_COUNT,
  PCI_REGION,
  type RegionDescription,
  resetDevice,
} from "../vfio/device-info.ts";
import { answerIrqInfo, getIrqInfo, type IrqDescription, rule as irqRule, setIrqs } from "../vfio/irqs.ts";

export const rule = clauses({
  "SAMPLE-RW-1": {
    rule: "a register, or a part of memory, is read or written as far as the region goes; what lies elsewhere is refused, and what came before it is done",
    errno: "EFAULT",
    partial: true,
    source: "samples/vfio-mdev/mtty.c:mdev_access",
  },
  "SAMPLE-RW-2": {
    rule: "the buffer must be readable, or writable; what came before is done",
    errno: "EFAULT",
    partial: true,
    source: "samples/vfio-mdev/mtty.c:mtty_read",
  },
  "SAMPLE-RW-3": {
    rule: "reading goes by the largest aligned units of 4, 2 and 1 bytes, and brings no more than what registers and memory hold",
    source: "samples/vfio-mdev/mtty.c:mtty_read",
    observable: "output",
  },
  "SAMPLE-RW-4": {
    rule: "writing goes by the largest aligned units of 4, 2 and 1 bytes",
    source: "samples/vfio-mdev/mtty.c:mtty_write",
    observable: "later-call",
  },
});

/** sizeof the configuration space, a byte short of PCI's. */
export const CONFIG_SIZE = 0xff;

/** The samples know nothing behind num_irqs. */
const SIZE: InfoSize = { struct: 16, written: () => 16 };

const opsLock = new LockClass("mdev_state->ops_lock");

/** One access of a transfer, of 1, 2 or 4 bytes. */
export interface Access {
  readonly position: number;
  /** Bytes of the transfer before it. */
  readonly done: number;
  readonly width: 1 | 2 | 4;
}

/** A device of a sample driver: the operations and the state that they work on. */
export abstract class SampleDevice implements VfioDeviceOps {
  abstract readonly name: string;
  /** Whether it was made before the first program, and has been asked for its information by whoever made it. */
  readonly introduced: boolean;
  readonly config = new Uint8Array(256);
  readonly opsLock = new Lock(opsLock);

  constructor(k: Kernel) {
    this.introduced = !k.up;
  }

  /** Refuses an index that the device has no region for. */
  abstract region(index: number): RegionDescription;
  /** Interrupts of an index below VFIO_PCI_NUM_IRQS. */
  abstract irqs(k: Kernel, index: number): IrqDescription;
  abstract setIrqs(k: Kernel, arg: Argument): Operation<number>;
  abstract reset(k: Kernel): Operation<number>;
  /** mdev_access: the value that is read, or the one that is written in and out; refuses what lies outside. */
  abstract access(k: Kernel, access: Access, written: number | null): Operation<number>;

  /** Neither sample says that it can be reset, and both can. */
  *ioctl(k: Kernel, _file: DeviceFile, command: Ioctl, arg: Argument): Operation<number> {
    const { block } = arg;
    switch (command.request) {
      case getInfo.request:
        k.samples.getInfo(k, this, arg);
        return 0;
      case getRegionInfo.request:
        answerRegionInfo(k, block, (index) => this.region(index));
        return 0;
      case getIrqInfo.request:
        answerIrqInfo(k, block, (index) => {
          must(index < k.samples.irqIndexes(this), irqRule["VFIO-DEV-IRQ-3"]);
          return this.irqs(k, index);
        });
        return 0;
      case setIrqs.request:
        return yield* this.setIrqs(k, arg);
      case resetDevice.request:
        return yield* this.reset(k);
    }
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  *read(k: Kernel, { block, count }: Transfer, position: number): Operation<number> {
    k.samples.foresee(this, position, count, null);
    const image = new Uint8Array(4);
    const view = new DataView(image.buffer);
    for (const access of units(position, count)) {
      const { done: from } = access;
      view.setUint32(0, yield* this.access(k, access, null), true);
      put(block, image, from, access.width, rule["SAMPLE-RW-2"]);
    }
    k.keeps(rule["SAMPLE-RW-3"]);
    return count;
  }

  *write(k: Kernel, { block, count }: Transfer, position: number): Operation<number> {
    k.samples.foresee(this, position, count, block);
    for (const access of units(position, count)) {
      const { done: from } = access;
      block.copyFrom(from + access.width, rule["SAMPLE-RW-2"], from);
      yield* this.access(k, access, block.number(from, access.width));
    }
    k.keeps(rule["SAMPLE-RW-4"]);
    return count;
  }

  /** close_device */
  *close(_k: Kernel, _device: VfioDevice): Operation<void> {}

  /** A number for what calls can change. */
  abstract trace(): number;
}

/** The units that a transfer is cut into. Offsets can be so large that counting them would lose bytes. */
export function* units(begin: number, count: number): Generator<Access> {
  for (let done = 0; done < count; ) {
    const position = begin + done;
    const left = count - done;
    const width = position % 4 === 0 && left >= 4 ? 4 : position % 2 === 0 && left >= 2 ? 2 : 1;
    yield { position, done, width };
    done += width;
  }
}

function put(block: Transfer["block"], value: Uint8Array, from: number, width: number, fault: Clause): void {
  const image = block.bytes.slice();
  image.set(value.subarray(0, width), from);
  block.copyTo(image, from, from + width, fault);
}

export const steps = {
  /** What a driver that would leave its regions is kept from; nothing here. */
  foresee(_device: SampleDevice, _position: number, _count: number, _written: UserBlock | null): void {},

  /** VFIO_DEVICE_GET_INFO */
  getInfo(k: Kernel, _device: SampleDevice, { block }: Argument): void {
    answerInfo(
      k,
      block,
      { flags: DEVICE_FLAGS.PCI, regions: PCI_REGION.COUNT, irqs: PCI_IRQ_COUNT, capabilities: [] },
      SIZE,
    );
  },

  /** How many indexes of interrupts the device has: as many as GET_INFO says. */
  irqIndexes(_device: SampleDevice): number {
    return PCI_IRQ_COUNT;
  },
};
