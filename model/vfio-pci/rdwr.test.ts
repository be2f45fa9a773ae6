/** How transfers are cut into accesses, and what hardware that is known makes of each. */
import { describe, expect, it, test } from "vitest";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Call, Place } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import { errnoName } from "../uapi/errno.ts";
import { accesses } from "./rdwr.ts";

const NOTHING = { from: 0, to: 0 };

/** edu, open, under a kernel. */
function opened(version: string): Machine {
  const profile = PROFILES[version];
  if (!profile) throw new Error(`there is no profile ${version}`);
  const machine = new Machine({ topology: REFERENCE_TOPOLOGY, profile });
  const fields = { fd: "@container" };
  for (const call of [
    { op: "open", node: { kind: "container" }, as: "@container" },
    { op: "open", node: { kind: "group", device: "edu0" }, as: "@group" },
    { op: "ioctl", fd: "@group", request: "VFIO_GROUP_SET_CONTAINER", arg: { kind: "struct", struct: { fields } } },
    { op: "ioctl", fd: "@container", request: "VFIO_SET_IOMMU", arg: { kind: "value", value: 3 } },
    {
      op: "ioctl",
      fd: "@group",
      request: "VFIO_GROUP_GET_DEVICE_FD",
      arg: { kind: "name", device: "edu0" },
      as: "@device",
    },
  ] satisfies Call[]) {
    expect(machine.step(call).ret).toBeGreaterThanOrEqual(0);
  }
  return machine;
}

function read(machine: Machine, offset: number, count: number, place?: Place): string {
  const { ret } = machine.step({
    op: "pread",
    fd: "@device",
    count,
    offset,
    ...(place === undefined ? {} : { place }),
  });
  return ret < 0 ? errnoName(-ret) : Buffer.from(machine.block.subarray(0, ret)).toString("hex");
}

const write = (machine: Machine, offset: number, ...bytes: readonly number[]): number =>
  machine.step({ op: "pwrite", fd: "@device", count: bytes.length, offset, bytes }).ret;

describe("a transfer", () => {
  const widths = (begin: number, count: number, widest: 4 | 8 = 8, kept = NOTHING) =>
    accesses(begin, count, kept, widest).map((part) => ("kept" in part ? `(${part.kept})` : part.width));

  it("is cut into accesses that are aligned, and as wide as can be", () => {
    expect(widths(0, 16)).toEqual([8, 8]);
    expect(widths(0, 16, 4)).toEqual([4, 4, 4, 4]);
    expect(widths(1, 16)).toEqual([1, 2, 4, 8, 1]);
    expect(widths(4, 7)).toEqual([4, 2, 1]);
  });

  it("never gets to what is kept from users", () => {
    expect(widths(0, 32, 8, { from: 8, to: 24 })).toEqual([8, "(16)", 8]);
    expect(widths(4, 8, 8, { from: 8, to: 24 })).toEqual([4, "(4)"]);
    expect(widths(20, 8, 8, { from: 8, to: 24 })).toEqual(["(4)", 4]);
    expect(widths(9, 3, 8, { from: 8, to: 24 })).toEqual(["(3)"]);
  });
});

describe("registers of edu", () => {
  it("answer at four bytes, and to nobody else", () => {
    const machine = opened("7.2");
    expect(read(machine, 0, 4)).toBe("ed000001");
    expect(read(machine, 0, 2)).toBe("0000");
    expect(read(machine, 0, 8)).toBe("ffffffffffffffff");
    expect(write(machine, 4, 1, 2, 3, 4)).toBe(4);
    expect(read(machine, 4, 4)).toBe("fefdfcfb");
  });

  it("are accessed four bytes at a time by kernels that can't do eight", () => {
    expect(read(opened("6.1"), 0, 8)).toBe("ed00000100000000");
  });

  it("are eight bytes wide from 0x80 on", () => {
    const machine = opened("7.2");
    expect(write(machine, 0x80, 1, 2, 3, 4, 5, 6, 7, 8)).toBe(8);
    expect(read(machine, 0x80, 8)).toBe("0102030405060708");
    expect(read(machine, 0x80, 4)).toBe("01020304");
    expect(write(machine, 0x80, 9, 0, 0, 0)).toBe(4);
    expect(read(machine, 0x80, 8)).toBe("0900000000000000");
  });
});

test("memory is asked for after a buffer was read, and before one is written", () => {
  const machine = opened("7.2");
  expect(write(machine, 7 * 2 ** 40 + 4, 1)).toBe(1);
  expect(read(machine, 4, 4, "unmapped")).toBe("EIO");
  const call = { op: "pwrite", fd: "@device", count: 4, offset: 4, bytes: [1] } as const;
  expect(machine.step({ ...call, place: "unmapped" }).refusedBy?.text.errno).toBe("EFAULT");
  expect(machine.step(call).refusedBy?.text.errno).toBe("EIO");
});
