/**
 * PCI functions of this host, as sysfs has them: what is looked at before one is touched, and how each is put back.
 *
 * Everything is done at once, without waiting, so that devices are put back even while the process is ending.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { TargetError } from "../target.ts";

const ADDRESS = /^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;
const BRIDGE_CLASS = 0x0604;

/** A function that was named to be tested, as it was before anything was done to it. */
export interface HostDevice {
  /** `0000:06:0d.0` */
  readonly address: string;
  readonly iommuGroup: string;
  /** The driver that it is bound to, or null. */
  readonly driver: string | null;
  /** What `driver_override` holds, or null when it is not set. */
  readonly override: string | null;
}

/**
 * Looks at the named functions and touches nothing.
 *
 * @throws TargetError where one is not there, has no IOMMU group, or shares it with a function that was not named.
 */
export function inspectDevices(addresses: readonly string[], sysfs = "/sys"): readonly HostDevice[] {
  const named = new Set(addresses.map((address) => address.toLowerCase()));
  if (named.size === 0) {
    throw new TargetError(
      "No device was named: pass --device with the address of each function to test, such as 0000:06:0d.0.",
    );
  }
  const devices = [...named].map((address) => inspect(address, sysfs));
  for (const { address, iommuGroup } of devices) {
    for (const member of readdirSync(join(sysfs, "kernel/iommu_groups", iommuGroup, "devices"))) {
      if (named.has(member) || isBridge(member, sysfs)) continue;
      throw new TargetError(
        `${address} shares IOMMU group ${iommuGroup} with ${member}, which was not named: name it too with --device ${member}, or test another device.`,
      );
    }
  }
  return devices;
}

function inspect(address: string, sysfs: string): HostDevice {
  if (!ADDRESS.test(address))
    throw new TargetError(`${address} is no PCI address: write it as lspci -D does, such as 0000:06:0d.0.`);
  const directory = directoryOf(address, sysfs);
  if (!existsSync(directory)) throw new TargetError(`There is no PCI function ${address} on this host: see lspci -D.`);
  if (isBridge(address, sysfs))
    throw new TargetError(`${address} is a bridge, which vfio-pci does not take: name a device behind it.`);
  const iommuGroup = linkName(join(directory, "iommu_group"));
  if (iommuGroup === null) {
    throw new TargetError(
      `${address} has no IOMMU group: switch the IOMMU on (intel_iommu=on, or in the firmware) and boot again.`,
    );
  }
  const override = readText(join(directory, "driver_override"));
  return {
    address,
    iommuGroup,
    driver: linkName(join(directory, "driver")),
    override: override === "" || override === "(null)" ? null : override,
  };
}

/** Takes a function from the driver that it is bound to. */
export function release({ address }: HostDevice, sysfs = "/sys"): void {
  const directory = directoryOf(address, sysfs);
  if (linkName(join(directory, "driver")) !== null) write(join(directory, "driver/unbind"), address);
}

/** Puts a function back to the driver and override that it had. What is wrong then, in a sentence, or null. */
export function putBack(device: HostDevice, sysfs = "/sys"): string | null {
  const { address, driver, override } = device;
  const directory = directoryOf(address, sysfs);
  try {
    // A line without text clears the override.
    write(join(directory, "driver_override"), override ?? "\n");
    if (linkName(join(directory, "driver")) === driver) return null;
    release(device, sysfs);
    if (driver !== null) write(join(sysfs, "bus/pci/drivers", driver, "bind"), address);
    return null;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const command = driver === null ? "" : `: bind it with: echo ${address} > /sys/bus/pci/drivers/${driver}/bind`;
    return `${address} could not be put back to ${driver ?? "no driver"} (${why})${command}`;
  }
}

function isBridge(address: string, sysfs: string): boolean {
  return Number(readText(join(directoryOf(address, sysfs), "class"))) >> 8 === BRIDGE_CLASS;
}

function directoryOf(address: string, sysfs: string): string {
  return join(sysfs, "bus/pci/devices", address);
}

/** The last part of what a link points to, or null where there is no link. */
function linkName(path: string): string | null {
  try {
    return basename(readlinkSync(path));
  } catch {
    return null;
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

/** One write(2), since every write to an attribute is a command of its own. */
function write(path: string, text: string): void {
  writeFileSync(path, text, { flag: "r+" });
}
