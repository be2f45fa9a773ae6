/** Migration by a region, as a VMM did it until 5.17. */
import { expect, test } from "vitest";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Call } from "../program.ts";
import { errnoName } from "../uapi/errno.ts";
import { VARIANT_TOPOLOGY } from "../variant-topology.ts";
import { AT, V1 } from "./migration-v1.ts";

const [template] = VARIANT_TOPOLOGY.functions;
const REGION = 9 * 2 ** 40;

/** A device that migrates so, open. */
class Opened {
  readonly machine: Machine;

  constructor() {
    const kernel = PROFILES["6.1"];
    if (!kernel || !template) throw new Error("the profile or the function is gone");
    const traits = { kind: "migration-v1", stateSize: 40, partSize: 16 } as const;
    const topology = { ...VARIANT_TOPOLOGY, functions: [{ ...template, name: "v1", traits }] };
    this.machine = new Machine({ topology, profile: { ...kernel, version: "5.17" } });
    const fields = { fd: "@container" };
    for (const call of [
      { op: "open", node: { kind: "container" }, as: "@container" },
      { op: "open", node: { kind: "group", device: "v1" }, as: "@group" },
      { op: "ioctl", fd: "@group", request: "VFIO_GROUP_SET_CONTAINER", arg: { kind: "struct", struct: { fields } } },
      { op: "ioctl", fd: "@container", request: "VFIO_SET_IOMMU", arg: { kind: "value", value: 3 } },
      {
        op: "ioctl",
        fd: "@group",
        request: "VFIO_GROUP_GET_DEVICE_FD",
        arg: { kind: "name", device: "v1" },
        as: "@device",
      },
    ] satisfies Call[]) {
      expect(this.machine.step(call).ret).toBeGreaterThanOrEqual(0);
    }
  }

  read(offset: number, count: number): number[] | string {
    const { ret } = this.machine.step({ op: "pread", fd: "@device", count, offset: REGION + offset });
    return ret < 0 ? errnoName(-ret) : [...this.machine.block.subarray(0, ret)];
  }

  register(at: number, width: 4 | 8 = 8): number | string {
    const bytes = this.read(at, width);
    return typeof bytes === "string" ? bytes : Buffer.from(bytes).readUIntLE(0, 4);
  }

  write(offset: number, bytes: readonly number[]): number | string {
    const offsetInFile = REGION + offset;
    const { ret } = this.machine.step({
      op: "pwrite",
      fd: "@device",
      count: bytes.length,
      offset: offsetInFile,
      bytes,
    });
    return ret < 0 ? errnoName(-ret) : ret;
  }

  setState(state: number): number | string {
    return this.write(AT.STATE, [state, 0, 0, 0]);
  }

  /** Everything that is to be had, part by part. */
  save(): number[][] {
    const parts: number[][] = [];
    while (this.register(AT.PENDING) !== 0) {
      const at = Number(this.register(AT.DATA_OFFSET));
      const data = this.read(at, Number(this.register(AT.DATA_SIZE)));
      if (typeof data === "string") throw new Error(data);
      parts.push(data);
    }
    return parts;
  }
}

test("a device is saved part by part, and resumed as it was saved", () => {
  const source = new Opened();
  expect(source.register(AT.STATE, 4)).toBe(V1.RUNNING);
  expect(source.setState(V1.SAVING | V1.RUNNING)).toBe(4);
  expect(source.save()).toEqual([]);
  expect(source.setState(V1.SAVING)).toBe(4);
  expect(source.register(AT.PENDING)).toBe(40);
  expect(source.read(4096, 1)).toBe("EINVAL");
  const parts = source.save();
  expect(parts.map(({ length }) => length)).toEqual([16, 16, 8]);

  const target = new Opened();
  expect(target.setState(V1.RESUMING)).toBe(4);
  for (const part of parts) {
    expect(target.setState(V1.RUNNING)).toBe("EINVAL");
    const at = Number(target.register(AT.DATA_OFFSET));
    expect(target.write(at, part)).toBe(part.length);
    expect(target.write(AT.DATA_SIZE, [part.length, 0, 0, 0, 0, 0, 0, 0])).toBe(8);
  }
  expect(target.setState(V1.RUNNING)).toBe(4);
});

test("registers are accessed whole, states that are none are refused, and a reset runs the device", () => {
  const device = new Opened();
  expect(device.read(AT.PENDING, 4)).toBe("EINVAL");
  expect(device.write(2, [0, 0])).toBe("EINVAL");
  for (const state of [V1.RESUMING | V1.RUNNING, V1.RESUMING | V1.SAVING, 7]) {
    expect(device.setState(state)).toBe("EINVAL");
    expect(device.register(AT.STATE, 4)).toBe(V1.RUNNING);
  }
  expect(device.setState(0xf0 | V1.SAVING)).toBe(4);
  expect(device.register(AT.STATE, 4)).toBe(V1.SAVING);
  const arg = { kind: "value", value: 0 } as const;
  expect(device.machine.step({ op: "ioctl", fd: "@device", request: "VFIO_DEVICE_RESET", arg }).ret).toBe(0);
  expect(device.register(AT.STATE, 4)).toBe(V1.RUNNING);
});
