/** mtty: a serial card with one or two ports. Beside samples/vfio-mdev/mtty.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { VfioDeviceOps } from "../vfio/device.ts";
import {
  DEVICE_REQUEST,
  rule as deviceRule,
  PCI_REGION,
  REGION_FLAGS,
  type RegionDescription,
} from "../vfio/device-info.ts";
import type { MdevDriver } from "./objects.ts";
import { CONFIG_SIZE, sampleOps } from "./sample-device.ts";

export const rule = clauses({
  "MTTY-CREATE-1": {
    rule: "there must be as many ports left as the type has",
    errno: "ENOSPC",
    source: "samples/vfio-mdev/mtty.c:mtty_init_dev",
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
    offset: index * 2 ** 40,
    capabilities: [],
  };
}

const ops = (ports: number): VfioDeviceOps =>
  sampleOps({
    name: "vfio-mtty",
    mmap: false,
    region: (index) => mttyRegion(index, ports),
    unmodelled: new Set([DEVICE_REQUEST.GET_IRQ_INFO, DEVICE_REQUEST.SET_IRQS, DEVICE_REQUEST.FEATURE]),
  });

const vendor = { file: "sample_mdev_dev", text: (uuid: string): string => `This is MDEV ${uuid}` };

export const mtty: MdevDriver = {
  name: "mtty",
  countedBy: "driver",
  types: [
    { name: "mtty-1", label: "Single port serial", description: null, vendor, units: 1, ops: ops(1) },
    { name: "mtty-2", label: "Dual port serial", description: null, vendor, units: 2, ops: ops(2) },
  ],
  capacity: PORTS,
  full: rule["MTTY-CREATE-1"],
};
