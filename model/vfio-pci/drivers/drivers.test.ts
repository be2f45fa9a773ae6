/** Drivers of functions as a program sees them: what each adds to the library, and what none may take away. */
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { runStraight, Unmodelled } from "../../kernel/operation.ts";
import { Machine } from "../../machine.ts";
import { PROFILES } from "../../profile.ts";
import type { Call } from "../../program.ts";
import { errnoName } from "../../uapi/errno.ts";
import { VARIANT_TOPOLOGY } from "../../variant-topology.ts";
import { PCI_REGION, REGION_FLAGS, REGION_SIZE, type RegionDescription } from "../../vfio/device-info.ts";
import { STATE } from "../../vfio/migration-states.ts";
import { PdsDevice } from "./pds.ts";

const CONFIG = PCI_REGION.CONFIG * REGION_SIZE;

/** A function that is open through its group. */
class Opened {
  readonly machine: Machine;
  readonly device: string;

  constructor(device: string, version = "7.2") {
    const profile = PROFILES[version];
    if (!profile) throw new Error(`there is no profile ${version}`);
    this.device = device;
    this.machine = new Machine({ topology: VARIANT_TOPOLOGY, profile });
    this.open();
  }

  open(): void {
    const { device } = this;
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

  get core() {
    const core = this.machine.k.functions.find(({ spec }) => spec.name === this.device)?.core;
    if (!core) throw new Error(`${this.device} has no driver`);
    return core;
  }

  /** Regions below the count that GET_INFO tells. */
  regions(): RegionDescription[] {
    const count = PCI_REGION.COUNT + this.core.function.regions.length;
    return Array.from({ length: count }, (_, index) => this.core.region(this.machine.k, index));
  }

  call(call: Call): number | string {
    const { ret } = this.machine.step(call);
    return ret < 0 ? errnoName(-ret) : ret;
  }

  read(offset: number, count = 1): string {
    const answer = this.call({ op: "pread", fd: "@device", count, offset });
    return typeof answer === "string" ? answer : Buffer.from(this.machine.block.subarray(0, answer)).toString("hex");
  }

  write(offset: number, ...bytes: number[]): number | string {
    return this.call({ op: "pwrite", fd: "@device", count: bytes.length, offset, bytes });
  }

  setState(state: number, session = "@session"): number | string {
    const fields = { argsz: 16, flags: 0x2_0002, device_state: state };
    const request = "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE";
    const binds = { data_fd: session };
    return this.call({ op: "ioctl", fd: "@device", request, arg: { kind: "struct", struct: { fields } }, binds });
  }

  reset(): number | string {
    return this.call({ op: "ioctl", fd: "@device", request: "VFIO_DEVICE_RESET", arg: { kind: "value", value: 0 } });
  }
}

/** What can be done to a device, in any order, with nothing of it left when it is closed. */
const doing = (device: Opened): fc.Arbitrary<() => unknown> =>
  fc.oneof(
    fc.nat(7).map((state) => () => device.setState(state)),
    fc.constant(() => device.reset()),
    fc.tuple(fc.nat(63), fc.nat(255)).map(
      ([at, value]) =>
        () =>
          device.write(CONFIG + at, value),
    ),
  );

/** Does what the model can tell of; before it says that it can't, it has changed nothing. */
function unlessUnmodelled(does: () => unknown): void {
  try {
    does();
  } catch (thrown) {
    if (!(thrown instanceof Unmodelled)) throw thrown;
  }
}

describe.each(VARIANT_TOPOLOGY.functions.map(({ name }) => name))("%s", (name) => {
  it("keeps its regions apart, in the order of their indexes", () => {
    const regions = new Opened(name).regions().filter(({ size }) => size > 0);
    for (const [at, { offset, size }] of regions.entries()) {
      const next = regions[at + 1];
      if (next) expect(offset + size).toBeLessThanOrEqual(next.offset);
    }
  });

  it("shows the library's configuration space: its vendor, and a BAR that reads as it was written", () => {
    const device = new Opened(name);
    const vendor = device.core.function.spec.vendor;
    expect(device.read(CONFIG, 2)).toBe(Buffer.from([vendor & 0xff, vendor >> 8]).toString("hex"));
    expect(device.regions()[PCI_REGION.CONFIG]?.flags).toBe(REGION_FLAGS.READ | REGION_FLAGS.WRITE);
    expect(device.read(CONFIG + device.core.function.spec.configSize)).toBe("EFAULT");
  });

  it("ends every region where it says, and not before", () => {
    const device = new Opened(name);
    // The library tells nothing of what is behind BARs; what is read of them is not known here.
    for (const { size, offset } of device.regions().slice(PCI_REGION.COUNT)) {
      fc.assert(
        fc.property(fc.nat(size - 1), (at) => {
          expect(device.read(offset + at)).toMatch(/^[0-9a-f]{2}$/);
          expect(device.read(offset + size + at)).toBe("EINVAL");
        }),
        { numRuns: 20, seed: 7 },
      );
    }
  });

  it("is the same to whoever opens it next, whatever was done to it", () => {
    const device = new Opened(name);
    fc.assert(
      fc.property(fc.array(doing(device), { maxLength: 12 }), (all) => {
        for (const each of all) unlessUnmodelled(each);
        device.machine.exit();
        const { vfio } = device.core.function;
        expect(vfio?.ops.trace?.(vfio)).toBe(fresh);
        device.open();
      }),
      { numRuns: 20, seed: 7 },
    );
  });

  const first = new Opened(name);
  first.machine.exit();
  const { vfio } = first.core.function;
  const fresh = vfio?.ops.trace?.(vfio);
});

test("a device of pds whose firmware recovered while it was migrated takes nothing but a reset", () => {
  const device = new Opened("pdsvf0");
  const { k } = device.machine;
  const { core } = device;
  if (!(core instanceof PdsDevice)) throw new Error("pdsvf0 has another driver");
  runStraight(k.pds.recover(k, core));
  expect(core.migration.state).toBe(STATE.RUNNING);
  expect(device.setState(STATE.STOP_COPY, "@saving")).toBe(0);
  runStraight(k.pds.recover(k, core));
  expect(core.migration.state).toBe(STATE.ERROR);
  expect(device.setState(STATE.RUNNING)).toBe("EIO");
  expect(device.call({ op: "read", fd: "@saving", count: 1 })).toBe("ENODEV");
  expect(device.reset()).toBe(0);
  expect(device.setState(STATE.STOP)).toBe(0);
});

describe("a virtual function of virtio-net", () => {
  it("reads as a transitional card, in whole and in part", () => {
    const device = new Opened("virtiovf0");
    expect(device.read(CONFIG, 4)).toBe("f41a0010");
    expect(device.read(CONFIG + 3, 1)).toBe("10");
    expect(device.read(CONFIG + 0x2c, 4)).toBe("f41a0100");
    expect(device.write(CONFIG + 0x10, 0xff, 0xff, 0xff, 0xff)).toBe(4);
    expect(device.read(CONFIG + 0x10, 4)).toBe("e1ffffff");
  });

  it("with a BAR of its own is none", () => {
    const device = new Opened("virtiovf1");
    expect(device.read(CONFIG + 2, 2)).toBe("4110");
    expect(device.regions()[0]?.size).toBe(16 * 1024);
  });
});

describe("a GPU of Grace", () => {
  it("has its usable memory cut to blocks, and what is left at the end set apart", () => {
    const regions = new Opened("grace0").regions();
    expect(regions[2]?.size).toBe(2 ** 31);
    expect(regions[4]?.size).toBe(2 ** 32);
    expect(regions[4]?.capabilities).toEqual([{ id: 1, version: 1, words: [1, 0, 0, 0, 2 ** 31, 0] }]);
  });

  it("reads its BARs as they were written, also where one access covers both", () => {
    const device = new Opened("grace0");
    expect(device.write(CONFIG + 0x18, ...Array<number>(16).fill(0xff))).toBe(16);
    expect(device.read(CONFIG + 0x18, 16)).toBe("0c000080ffffffff0c000000ffffffff");
    expect(device.reset()).toBe(0);
    expect(device.read(CONFIG + 0x18, 16)).toBe("0c000000000000000c00000000000000");
  });

  it("holds what was written, and ones behind its end", () => {
    const device = new Opened("grace1");
    const end = 4 * REGION_SIZE + 3 * 2 ** 30;
    expect(device.write(end - 2, 1, 2, 3, 4)).toBe(4);
    expect(device.read(end - 2, 4)).toBe("0102ffff");
  });
});

test("Intel graphics without an OpRegion has no region more than any", () => {
  expect(new Opened("igd1").regions()).toHaveLength(PCI_REGION.COUNT);
  const igd = new Opened("igd0");
  expect(igd.regions()).toHaveLength(PCI_REGION.COUNT + 3);
  expect(igd.read(9 * REGION_SIZE + 0x16, 2)).toBe("0102");
  expect(igd.write(CONFIG + 0xfc, 0, 0, 0, 0)).toBe(4);
  expect(igd.read(CONFIG + 0xfc, 4)).toBe("18309f7a");
});
