/** Calls on a function's configuration space, as scenarios write them. */
import type { Call, Value } from "../model/program.ts";
import { PCI_REGION, REGION_SIZE } from "../model/vfio/device-info.ts";
import { bind, openCdev, openIommufd, throughContainer } from "./calls.ts";
import type { Needs } from "./scenario.ts";

/** Bytes that one call moves at the most. */
export const MOST = 256;

/** Where a region's byte is in the device's file. */
export const inRegion = (index: number, at: number): number => index * REGION_SIZE + at;

export const readConfig = (at: number, count: number, fd: Value = "@device"): Call => ({
  op: "pread",
  fd,
  count,
  offset: inRegion(PCI_REGION.CONFIG, at),
});

export const writeConfig = (at: number, bytes: readonly number[], fd: Value = "@device"): Call => ({
  op: "pwrite",
  fd,
  count: bytes.length,
  offset: inRegion(PCI_REGION.CONFIG, at),
  bytes,
});

/** All of it, read. */
export const readAll = (size: number): Call[] =>
  Array.from({ length: size / MOST }, (_, part) => readConfig(part * MOST, MOST));

/** The two ways in, and what each takes. */
export const WAYS: readonly { readonly way: string; readonly needs: Needs; open(device: string): readonly Call[] }[] = [
  {
    way: "by-group",
    needs: { kconfig: ["VFIO_GROUP", "VFIO_CONTAINER"] },
    open: throughContainer,
  },
  {
    way: "by-iommufd",
    needs: { since: "6.6", kconfig: ["VFIO_DEVICE_CDEV", "IOMMUFD"] },
    open: (device) => [openIommufd(), openCdev(device), bind("@device", "@iommufd")],
  },
];

export const BY_GROUP = { kconfig: ["VFIO_GROUP", "VFIO_CONTAINER"] } as const;
/** Where e1000e has power management's control, MSI and PCI Express. */
export const E1000E = { POWER: 0xcc, MSI: 0xd0, EXPRESS: 0xe0 } as const;
/** Where nvme has power management's control and PCI Express. */
export const NVME = { POWER: 0x64, EXPRESS: 0x80 } as const;
