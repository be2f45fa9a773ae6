/** Ids of PCI functions, and what they match. Beside include/linux/mod_devicetable.h and drivers/pci/pci.h. */
import { parseRegisters } from "../pci/register-text.ts";
import type { FunctionSpec } from "../topology.ts";

/** In place of a vendor or device: any. */
export const PCI_ANY_ID = 0xffff_ffff;

/** struct pci_device_id: an entry of a driver's table, or an id that was added to it. */
export interface PciDeviceId {
  readonly vendor: number;
  readonly device: number;
  readonly subvendor: number;
  readonly subdevice: number;
  readonly class: number;
  readonly classMask: number;
  readonly driverData: bigint;
  /** Whether it matches only functions whose driver_override names the driver. */
  readonly overrideOnly: boolean;
}

/** PCI_DEVICE: whatever the subsystem and the class. */
export function pciDevice(vendor: number, device: number): PciDeviceId {
  return {
    vendor,
    device,
    subvendor: PCI_ANY_ID,
    subdevice: PCI_ANY_ID,
    class: 0,
    classMask: 0,
    driverData: 0n,
    overrideOnly: false,
  };
}

/** PCI_DRIVER_OVERRIDE_DEVICE_VFIO: the same, for functions only that are given to the driver by name. */
export function vfioOverride(vendor: number, device: number): PciDeviceId {
  return { ...pciDevice(vendor, device), overrideOnly: true };
}

/** What of a function ids are compared with. */
export type FunctionId = Pick<PciDeviceId, "vendor" | "device" | "subvendor" | "subdevice" | "class">;

const SUBSYSTEM_VENDOR = 0x2c;
const ids = new WeakMap<FunctionSpec, FunctionId>();

/** What a function says it is: pci_id_from_device. */
export function idOf(spec: FunctionSpec): FunctionId {
  let id = ids.get(spec);
  if (!id) {
    const registers = new DataView(parseRegisters(spec.config, spec.configSize).buffer);
    id = {
      vendor: spec.vendor,
      device: spec.device,
      subvendor: registers.getUint16(SUBSYSTEM_VENDOR, true),
      subdevice: registers.getUint16(SUBSYSTEM_VENDOR + 2, true),
      class: spec.class,
    };
    ids.set(spec, id);
  }
  return id;
}

/** Whether who wants to be rid of an id of that vendor and device means this one: what is not given is any. */
export function isMeantBy(given: PciDeviceId, id: PciDeviceId): boolean {
  return (
    id.vendor === given.vendor &&
    id.device === given.device &&
    (given.subvendor === PCI_ANY_ID || id.subvendor === given.subvendor) &&
    (given.subdevice === PCI_ANY_ID || id.subdevice === given.subdevice) &&
    ((id.class ^ given.class) & given.classMask) === 0
  );
}

/** pci_match_one_id */
export function matchesOne(id: PciDeviceId, own: FunctionId): boolean {
  return (
    (id.vendor === PCI_ANY_ID || id.vendor === own.vendor) &&
    (id.device === PCI_ANY_ID || id.device === own.device) &&
    (id.subvendor === PCI_ANY_ID || id.subvendor === own.subvendor) &&
    (id.subdevice === PCI_ANY_ID || id.subdevice === own.subdevice) &&
    ((id.class ^ own.class) & id.classMask) === 0
  );
}
