/** What mtty and mdpy have in common: an emulated PCI device that answers a few commands (samples/vfio-mdev). */
import { refuse } from "../kernel/clause.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import type { VfioDeviceOps } from "../vfio/device.ts";
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

/** sizeof the configuration space, a byte short of PCI's. */
export const CONFIG_SIZE = 0xff;

/** The samples know nothing behind num_irqs. */
const SIZE: InfoSize = { struct: 16, written: () => 16 };

/** In which one sample differs from another. */
export interface SampleDevice {
  readonly name: string;
  readonly mmap: boolean;
  /** Refuses an index that the device has no region for. */
  readonly region: (index: number) => RegionDescription;
  /** Commands that it answers and the model does not. */
  readonly unmodelled: ReadonlySet<number>;
}

/** The operations of a sample. Neither says that it can be reset, and both can. */
export function sampleOps({ name, mmap, region, unmodelled }: SampleDevice): VfioDeviceOps {
  return {
    name,
    mmap,
    *ioctl(k, _file, command, { block }): Operation<number> {
      switch (command.request) {
        case getInfo.request:
          answerInfo(
            k,
            block,
            { flags: DEVICE_FLAGS.PCI, regions: PCI_REGION.COUNT, irqs: PCI_IRQ_COUNT, capabilities: [] },
            SIZE,
          );
          return 0;
        case getRegionInfo.request:
          answerRegionInfo(k, block, region);
          return 0;
        case resetDevice.request:
          return 0;
      }
      if (unmodelled.has(command.request)) throw new Unmodelled(`${command.name} of ${name}`);
      return refuse(vfsRule["VFS-IOCTL-1"]);
    },
  };
}
