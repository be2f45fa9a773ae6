/** Configuration space as a user sees it, of functions of the suite's machines and of made-up ones that they have not. */
import { describe, expect, it } from "vitest";
import { Unmodelled } from "../kernel/operation.ts";
import { Machine } from "../machine.ts";
import { formatRegisters } from "../pci/register-text.ts";
import { PROFILES } from "../profile.ts";
import type { Call } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import type { FunctionSpec } from "../topology.ts";
import { errnoName } from "../uapi/errno.ts";

const CONFIG = 7 * 2 ** 40;

/** A device that is open, whose space is what a function has in place of its own. */
class Opened {
  readonly machine: Machine;

  constructor(device: string, change: Partial<FunctionSpec> = {}, version = "7.2") {
    const profile = PROFILES[version];
    if (!profile) throw new Error(`there is no profile ${version}`);
    const functions = REFERENCE_TOPOLOGY.functions.map((spec) =>
      spec.name === device ? { ...spec, ...change } : spec,
    );
    this.machine = new Machine({ topology: { ...REFERENCE_TOPOLOGY, functions }, profile });
    const fields = { fd: "@container" };
    for (const call of [
      { op: "open", node: { kind: "container" }, as: "@container" },
      { op: "open", node: { kind: "group", device }, as: "@group" },
      { op: "ioctl", fd: "@group", request: "VFIO_GROUP_SET_CONTAINER", arg: { kind: "struct", struct: { fields } } },
      { op: "ioctl", fd: "@container", request: "VFIO_SET_IOMMU", arg: { kind: "value", value: 3 } },
      { op: "ioctl", fd: "@group", request: "VFIO_GROUP_GET_DEVICE_FD", arg: { kind: "name", device }, as: "@device" },
    ] satisfies Call[]) {
      expect(this.machine.step(call).ret).toBeGreaterThanOrEqual(0);
    }
  }

  read(at: number, count = 1): string {
    const { ret } = this.machine.step({ op: "pread", fd: "@device", count, offset: CONFIG + at });
    return ret < 0 ? errnoName(-ret) : Buffer.from(this.machine.block.subarray(0, ret)).toString("hex");
  }

  write(at: number, ...bytes: number[]): number | string {
    const call = { op: "pwrite", fd: "@device", count: bytes.length, offset: CONFIG + at, bytes } as const;
    const { ret } = this.machine.step(call);
    return ret < 0 ? errnoName(-ret) : ret;
  }
}

/** A header with capabilities behind it, each at its offset. */
function spaceWith(size: number, first: number, ...capabilities: readonly (readonly [number, readonly number[]])[]) {
  const bytes = new Uint8Array(size);
  bytes.set([0x34, 0x12, 0xe8, 0x11, 0x03, 0x01, 0x10], 0);
  bytes[0x34] = first;
  for (const [at, content] of capabilities) bytes.set(content, at);
  return { config: formatRegisters(bytes), configSize: size, configKeeps: "" };
}

describe("capabilities", () => {
  it("that users are not to see are left out of the list, and their registers go to the function", () => {
    // MSI, then one of a bridge's subsystem, then power management.
    const device = new Opened(
      "edu0",
      spaceWith(256, 0x40, [0x40, [5, 0x60, 0x80]], [0x60, [0x0d, 0x70, 0xaa, 0xbb]], [0x70, [1, 0, 0x03, 0xc8]]),
    );
    expect(device.read(0x34)).toBe("40");
    expect(device.read(0x41)).toBe("70");
    expect(device.read(0x60, 4)).toBe("0d70aabb");
    // Wake-up events are the host's.
    expect(device.read(0x70, 4)).toBe("01000300");
  });

  it("are none where all are hidden", () => {
    const device = new Opened("edu0", spaceWith(256, 0x40, [0x40, [0x0d, 0x50]], [0x50, [0x00, 0x00]]));
    expect(device.read(0x06, 2)).toBe("0000");
    expect(device.read(0x34)).toBe("00");
  });

  it("of a vendor are written as they are", () => {
    const space = { ...spaceWith(256, 0x40, [0x40, [9, 0, 8, 1]]), configKeeps: "40:ff*8" };
    const device = new Opened("edu0", space);
    expect(device.write(0x44, 0x55, 0x66)).toBe(2);
    expect(device.read(0x44, 4)).toBe("55660000");
  });

  it("that lead in a circle come to an end", () => {
    const device = new Opened("edu0", spaceWith(256, 0x40, [0x40, [0x0d, 0x50]], [0x50, [0x0d, 0x40]]));
    expect(device.read(0x06, 2)).toBe("0000");
  });
});

describe("extended capabilities", () => {
  const EXPRESS = [0x40, [0x10, 0, 0x02, 0]] as const;
  /** Id, version 1, next. */
  const head = (id: number, next: number): number[] => [id, 0, 0x01 | ((next & 0xf) << 4), next >> 4];

  it("leave a place without id and version where the first is hidden", () => {
    const space = spaceWith(
      4096,
      0x40,
      EXPRESS,
      [0x100, head(0x1b, 0x140)],
      [0x140, head(0x03, 0x180)],
      [0x180, head(0x1b, 0)],
    );
    const device = new Opened("rooted0", space);
    expect(device.read(0x100, 4)).toBe("00000014");
    expect(device.read(0x140, 4)).toBe("03000100");
  });

  it("are none where all are hidden", () => {
    const device = new Opened("rooted0", spaceWith(4096, 0x40, EXPRESS, [0x100, head(0x1b, 0)]));
    expect(device.read(0x100, 4)).toBe("00000000");
  });

  it("that a vendor designates are seen since 6.4", () => {
    const space = spaceWith(4096, 0x40, EXPRESS, [0x100, head(0x03, 0x140)], [0x140, [...head(0x23, 0), 0, 0, 0, 1]]);
    expect(new Opened("rooted0", space).read(0x100, 4)).toBe("03000114");
    expect(new Opened("rooted0", space, "6.1").read(0x100, 4)).toBe("03000100");
  });
});

describe("MSI", () => {
  it("can be given address and data, and not be enabled", () => {
    const device = new Opened("edu0");
    expect(device.write(0x42, 0xff)).toBe(1);
    expect(device.read(0x42, 2)).toBe("8000");
    expect(device.write(0x44, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)).toBe(10);
    expect(device.read(0x44, 10)).toBe("0102030405060708090a");
  });

  it("shows the masks of its vectors as the function has them", () => {
    const space = { ...spaceWith(256, 0x40, [0x40, [5, 0, 0x86, 0x01]]), configKeeps: "50:0f" };
    const device = new Opened("edu0", space);
    device.write(0x50, 0xff, 0xff);
    expect(device.read(0x50, 4)).toBe("0f000000");
  });
});

/** Why the model does not tell. */
function untold(access: () => unknown): string {
  try {
    access();
  } catch (thrown) {
    if (thrown instanceof Unmodelled) return thrown.what;
    throw thrown;
  }
  return "";
}

describe("what nobody can tell", () => {
  const unknown = { configKeeps: null };

  it("is not told: what hardware keeps, what it changes by itself", () => {
    const device = new Opened("nic0.0", unknown);
    expect(untold(() => device.write(0x04, 0))).toContain("nobody has tried out");
    expect(untold(() => device.read(0x06))).toContain("changes by itself");
    expect(untold(() => device.read(0xea))).toContain("changes by itself");
    // A write that changes nothing, and what is the user's own.
    expect(device.write(0x05, 0x01)).toBe(1);
    expect(device.write(0x10, 0xff, 0xff, 0xff, 0xff)).toBe(4);
    expect(device.read(0x10, 4)).toBe("0000feff");
  });

  it("is what a reset leaves of registers that nobody puts back", () => {
    const device = new Opened("rooted0");
    device.write(0x70, 0x5a);
    expect(device.read(0x70)).toBe("5a");
    device.machine.step({ op: "ioctl", fd: "@device", request: "VFIO_DEVICE_RESET", arg: { kind: "value", value: 0 } });
    expect(untold(() => device.read(0x70))).toContain("nobody puts back");
    device.write(0x70, 0x11);
    expect(device.read(0x70)).toBe("11");
  });
});

describe("a transfer", () => {
  it("is whole or refused at the end, and cut at capabilities in between", () => {
    const device = new Opened("edu0");
    expect(device.read(0xfc, 4)).toBe("00000000");
    expect(device.read(0xfd, 4)).toBe("EFAULT");
    expect(device.write(0xff, 1, 2)).toBe("EFAULT");
    expect(device.read(0xff)).toBe("00");
    // MSI ends at 0x4e; behind it is what nobody describes.
    expect(device.write(0x4c, 0x11, 0x22, 0x33, 0x44)).toBe(4);
    expect(device.read(0x4c, 4)).toBe("11223344");
  });
});
