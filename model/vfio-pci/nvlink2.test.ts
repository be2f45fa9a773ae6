/** NVLink 2 as vfio-pci showed it until 5.12, and no longer. */
import { expect, test } from "vitest";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Call } from "../program.ts";
import { errnoName } from "../uapi/errno.ts";
import type { Version } from "../uapi/version.ts";
import { VARIANT_TOPOLOGY } from "../variant-topology.ts";

const [template] = VARIANT_TOPOLOGY.functions;
const REGION = 9 * 2 ** 40;

/** A machine whose only function is a GPU or a bridge, open; what its first own region tells. */
function opened(is: "gpu" | "bridge", version: Version) {
  const kernel = PROFILES["6.1"];
  if (!kernel || !template) throw new Error("the profile or the function is gone");
  const memory = is === "gpu" ? 2 ** 37 : 0x10000;
  const traits = { kind: "nvlink2", is, memory, target: 0x1_2345_0000_0000n, linkSpeed: 9 } as const;
  const topology = { ...VARIANT_TOPOLOGY, functions: [{ ...template, name: "v100", traits }] };
  const machine = new Machine({ topology, profile: { ...kernel, version } });
  const step = (call: Call): number | string => {
    const { ret } = machine.step(call);
    return ret < 0 ? errnoName(-ret) : ret;
  };
  const fields = { fd: "@container" };
  for (const call of [
    { op: "open", node: { kind: "container" }, as: "@container" },
    { op: "open", node: { kind: "group", device: "v100" }, as: "@group" },
    { op: "ioctl", fd: "@group", request: "VFIO_GROUP_SET_CONTAINER", arg: { kind: "struct", struct: { fields } } },
    { op: "ioctl", fd: "@container", request: "VFIO_SET_IOMMU", arg: { kind: "value", value: 3 } },
    {
      op: "ioctl",
      fd: "@group",
      request: "VFIO_GROUP_GET_DEVICE_FD",
      arg: { kind: "name", device: "v100" },
      as: "@device",
    },
  ] satisfies Call[]) {
    expect(step(call)).not.toBeTypeOf("string");
  }
  const arg = { kind: "struct", struct: { fields: { argsz: 256, index: 9 } } } as const;
  const told = step({ op: "ioctl", fd: "@device", request: "VFIO_DEVICE_GET_REGION_INFO", arg });
  return { machine, step, told, words: new Uint32Array(machine.block.slice(0, 96).buffer) };
}

const capability = (id: number, next: number) => [id | (1 << 16), next];

test("a GPU's memory tells where it lies on the system's bus", () => {
  const { told, words, step, machine } = opened("gpu", "5.12");
  expect(told).toBe(0);
  expect([...words.slice(8, 16)]).toEqual([
    ...capability(2, 48),
    0x8000_10de,
    1,
    ...capability(4, 0),
    0x0000_0000,
    0x0001_2345,
  ]);
  expect(step({ op: "pwrite", fd: "@device", count: 4, offset: REGION + 8, bytes: [1, 2, 3, 4] })).toBe(4);
  expect(step({ op: "pread", fd: "@device", count: 4, offset: REGION + 8 })).toBe(4);
  expect([...machine.block.subarray(0, 4)]).toEqual([1, 2, 3, 4]);
  expect(step({ op: "pread", fd: "@device", count: 4, offset: REGION + 2 ** 37 })).toBe("EINVAL");
});

test("a bridge tells of the link's speed besides", () => {
  const { told, words } = opened("bridge", "5.12");
  expect(told).toBe(0);
  expect(words[10]).toBe(0x8000_1014);
  expect([...words.slice(16, 20)]).toEqual([...capability(5, 0), 9, 0]);
});

test("since 5.13 there is no such region", () => {
  expect(opened("gpu", "5.13").told).toBe("EINVAL");
});
