import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TargetError } from "../target.ts";
import { inspectDevices, putBack, release } from "./devices.ts";

let sysfs = "";

/** A PCI function in a sysfs of our own. */
function addFunction(
  address: string,
  group: string,
  { driver = "", deviceClass = "0x020000", override = "(null)" } = {},
): void {
  const directory = join(sysfs, "bus/pci/devices", address);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "class"), `${deviceClass}\n`);
  writeFileSync(join(directory, "driver_override"), `${override}\n`);
  const members = join(sysfs, "kernel/iommu_groups", group, "devices");
  mkdirSync(members, { recursive: true });
  symlinkSync(directory, join(members, address));
  symlinkSync(join(sysfs, "kernel/iommu_groups", group), join(directory, "iommu_group"));
  if (driver === "") return;
  const driverDirectory = join(sysfs, "bus/pci/drivers", driver);
  mkdirSync(driverDirectory, { recursive: true });
  for (const command of ["bind", "unbind"]) writeFileSync(join(driverDirectory, command), "");
  symlinkSync(driverDirectory, join(directory, "driver"));
}

const refusal = (...addresses: string[]): string => {
  try {
    inspectDevices(addresses, sysfs);
  } catch (thrown) {
    if (thrown instanceof TargetError) return thrown.message;
    throw thrown;
  }
  return "not refused";
};

beforeEach(() => {
  sysfs = mkdtempSync(join(tmpdir(), "sysfs-"));
  addFunction("0000:01:00.0", "4", { driver: "e1000e" });
  addFunction("0000:01:00.1", "4", { driver: "e1000e" });
  addFunction("0000:00:05.0", "4", { driver: "pcieport", deviceClass: "0x060400" });
  addFunction("0000:06:0d.0", "9", { override: "vfio-pci" });
});

afterEach(() => rmSync(sysfs, { recursive: true, force: true }));

describe("inspectDevices", () => {
  it("tells what there is to put back", () => {
    expect(inspectDevices(["0000:06:0D.0"], sysfs)).toEqual([
      { address: "0000:06:0d.0", iommuGroup: "9", driver: null, override: "vfio-pci" },
    ]);
    expect(inspectDevices(["0000:01:00.0", "0000:01:00.1"], sysfs).map(({ driver }) => driver)).toEqual([
      "e1000e",
      "e1000e",
    ]);
  });

  it("refuses a device whose group has others that were not named; bridges do not count", () => {
    expect(refusal("0000:01:00.0")).toBe(
      "0000:01:00.0 shares IOMMU group 4 with 0000:01:00.1, which was not named: name it too with --device 0000:01:00.1, or test another device.",
    );
  });

  it("refuses what is no device to test, in one sentence each", () => {
    expect(refusal()).toMatch(/^No device was named/);
    expect(refusal("eth0")).toMatch(/^eth0 is no PCI address/);
    expect(refusal("0000:7f:00.0")).toMatch(/^There is no PCI function 0000:7f:00.0/);
    expect(refusal("0000:00:05.0")).toMatch(/is a bridge/);
    rmSync(join(sysfs, "bus/pci/devices/0000:06:0d.0/iommu_group"));
    expect(refusal("0000:06:0d.0")).toMatch(/has no IOMMU group/);
  });
});

describe("putBack", () => {
  it("gives a function back to its driver and clears the override", () => {
    const [device] = inspectDevices(["0000:01:00.0", "0000:01:00.1"], sysfs);
    if (!device) throw new Error("no device");
    release(device, sysfs);
    expect(readFileSync(join(sysfs, "bus/pci/drivers/e1000e/unbind"), "utf8")).toBe(device.address);
    rmSync(join(sysfs, "bus/pci/devices", device.address, "driver"));
    expect(putBack(device, sysfs)).toBeNull();
    expect(readFileSync(join(sysfs, "bus/pci/drivers/e1000e/bind"), "utf8")).toBe(device.address);
    expect(readFileSync(join(sysfs, "bus/pci/devices", device.address, "driver_override"), "utf8")[0]).toBe("\n");
  });

  it("says what to do where that fails", () => {
    const device = { address: "0000:06:0d.0", iommuGroup: "9", driver: "gone", override: null };
    expect(putBack(device, sysfs)).toMatch(/could not be put back to gone .*echo 0000:06:0d.0 > /);
  });
});
