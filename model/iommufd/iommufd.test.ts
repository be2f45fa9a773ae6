import { describe, expect, test } from "vitest";
import { vfioPciDriver } from "../driver-core/pci-driver.ts";
import { IommuGroup } from "../iommu/group.ts";
import { Refusal } from "../kernel/clause.ts";
import { ArgumentBlocks } from "../kernel/encode.ts";
import { findIoctl } from "../kernel/ioctl.ts";
import { type Chooser, Kernel, ownChoice } from "../kernel/kernel.ts";
import { LockOrder } from "../kernel/lock.ts";
import { MEMORY } from "../kernel/memory-map.ts";
import { runStraight } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { PciFunction } from "../pci/function.ts";
import type { Place, StructArgument } from "../program.ts";
import type { FunctionSpec, Topology } from "../topology.ts";
import { errnoName } from "../uapi/errno.ts";
import { U64_MAX } from "../uapi/u64.ts";
import { IommufdFile } from "./file.ts";

const PAGE = 4096n;
const FIXED = 1;
const WRITEABLE = 2;
const READABLE = 4;

const MSI_WINDOW = { start: 0xfee0_0000n, last: 0xfeef_ffffn };

const topology: Topology = {
  name: "none",
  functions: [],
  bridges: [],
  mdevParents: [],
  mdevs: [],
  iommu: true,
  vtd: null,
  noiommu: false,
  nesting: false,
  kvm: false,
  sriov: false,
  noFailNth: null,
  dmaEntryLimit: 65535,
  drivers: [],
  wholeBus: true,
  managed: [],
};

/** A function behind an Intel IOMMU with 39 bits, in the group of that number. */
function pciFunction(group: IommuGroup, apertureBits = 39): PciFunction {
  const spec: FunctionSpec = {
    name: "nic",
    address: "0000:00:03.0",
    segment: 0,
    bus: 0,
    devfn: 0x18,
    vendor: 0x8086,
    device: 0x10d3,
    class: 0x020000,
    group: group.id,
    resettable: true,
    resetScope: null,
    hotResetWorks: false,
    bars: [],
    romImage: false,
    rom: null,
    totalVfs: 0,
    physicalFunction: null,
    configSize: 4096,
    express: true,
    config: "",
    configKeeps: null,
    vga: false,
    intx: true,
    msi: 1,
    msix: 5,
    msixBar: 3,
    nativeDriver: null,
    atomics: null,
    reservedRegions: [MSI_WINDOW],
    apertureBits,
    pageSizes: 0x4020_1000n,
  };
  return new PciFunction(spec, group, vfioPciDriver, null);
}

/** One open /dev/iommu and what it answers. */
class Bench {
  readonly order = new LockOrder();
  readonly k: Kernel;
  readonly file = new IommufdFile(2);
  readonly #blocks: ArgumentBlocks;

  constructor(version: "6.12" | "7.2" = "7.2", chooser: Chooser = ownChoice) {
    this.k = new Kernel(topology, { version, kconfig: new Set(["IOMMUFD"]) }, this.order, chooser);
    this.#blocks = new ArgumentBlocks(this.k);
  }

  /** Makes a call: "0" or the name of the errno. */
  call(name: string, fields: StructArgument["fields"], place?: Place): string {
    const command = findIoctl(name);
    if (command?.argument.kind !== "struct") throw new Error(`${name} takes no struct`);
    const { layout } = command.argument;
    const sized = { size: layout.size, ...fields };
    const argument = place === undefined ? { fields: sized } : { fields: sized, place };
    this.#blocks.struct(layout, argument, (value) => (typeof value === "string" ? -1 : value));
    const { main, at } = this.#blocks;
    return this.outcome(() => runStraight(this.file.ioctl(this.k, command, { block: main, value: 0, at })));
  }

  outcome(run: () => unknown): string {
    try {
      return String(run() ?? 0);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      return errnoName(thrown.clause.code);
    }
  }

  /** What the struct's pointer leads to. */
  pointed(): UserBlock {
    const [block] = this.#blocks.pointed;
    if (!block) throw new Error("the struct points to nothing");
    return block;
  }

  u32(offset: number): number {
    return this.#blocks.main.u32(offset);
  }

  u64(offset: number): bigint {
    return this.#blocks.main.u64(offset);
  }

  alloc(): number {
    expect(this.call("IOMMU_IOAS_ALLOC", {})).toBe("0");
    return this.u32(8);
  }

  map(ioas: number, iova: bigint, pages = 1n, more: StructArgument["fields"] = {}, place?: Place): string {
    const fields = {
      ioas_id: ioas,
      flags: FIXED | READABLE | WRITEABLE,
      user_va: MEMORY.user,
      length: pages * PAGE,
      iova,
    };
    return this.call("IOMMU_IOAS_MAP", { ...fields, ...more }, place);
  }

  unmap(ioas: number, iova: bigint, length: bigint, place?: Place): string {
    return this.call("IOMMU_IOAS_UNMAP", { ioas_id: ioas, iova, length }, place);
  }

  /** Binds and attaches a device of a group of its own. */
  attached(ioas: number, fn = pciFunction(new IommuGroup(1))) {
    const device = runStraight(this.k.iommufdDevice.bindDevice(this.k, this.file.context, fn, null));
    const hwpt = runStraight(this.k.iommufdDevice.attachDevice(this.k, device, ioas, null));
    return { device, hwpt };
  }
}

describe("the format of iommufd's commands", () => {
  test("the size decides, and what the kernel does not know must be zero", () => {
    const bench = new Bench();
    expect(bench.call("IOMMU_IOAS_ALLOC", { size: 11 })).toBe("EINVAL");
    expect(bench.call("IOMMU_IOAS_ALLOC", { size: 16 })).toBe("0");
    expect(bench.call("IOMMU_IOAS_ALLOC", {}, "unmapped")).toBe("EFAULT");
    expect(bench.call("IOMMU_IOAS_ALLOC", {}, 8)).toBe("EFAULT");
    expect(bench.call("IOMMU_IOAS_ALLOC", { flags: 1 })).toBe("EOPNOTSUPP");
  });

  test("an IOAS whose id can't be told is not left behind", () => {
    const bench = new Bench();
    expect(bench.call("IOMMU_IOAS_ALLOC", {}, "readonly")).toBe("EFAULT");
    expect(bench.file.context.objects.size).toBe(0);
  });

  test("ids are the lowest that are free, and the target's choice is adopted where it is a free one", () => {
    const bench = new Bench();
    expect([bench.alloc(), bench.alloc(), bench.alloc()]).toEqual([1, 2, 3]);
    expect(bench.call("IOMMU_DESTROY", { id: 2 })).toBe("0");
    expect(bench.alloc()).toBe(2);
    const adopting = new Bench("7.2", { choose: (_site, own, allowed) => (allowed(77n) ? 77n : own) });
    expect([adopting.alloc(), adopting.alloc()]).toEqual([77, 1]);
  });
});

describe("mappings", () => {
  test("are refused in the kernel's order", () => {
    const bench = new Bench();
    const ioas = bench.alloc();
    expect(bench.map(ioas, 0n, 1n, { flags: 8 })).toBe("EOPNOTSUPP");
    expect(bench.map(ioas, U64_MAX)).toBe("EOVERFLOW");
    expect(bench.map(ioas, 0n, 1n, { flags: FIXED })).toBe("EINVAL");
    expect(bench.map(99, 0n)).toBe("ENOENT");
    expect(bench.map(ioas, 0n, 0n)).toBe("EINVAL");
    expect(bench.map(ioas, U64_MAX - 1n)).toBe("EOVERFLOW");
    expect(bench.map(ioas, 0n)).toBe("0");
    expect(bench.map(ioas, 0n)).toBe("EEXIST");
    expect(bench.map(ioas, U64_MAX - PAGE + 1n)).toBe("0");
  });

  test("of nothing at the end of memory: which is looked at first changed with 6.13", () => {
    const wrong = { user_va: U64_MAX, length: U64_MAX - 1n };
    const older = new Bench("6.12");
    expect(older.map(older.alloc(), 0n, 1n, wrong)).toBe("EINVAL");
    const newer = new Bench("7.2");
    expect(newer.map(newer.alloc(), 0n, 1n, wrong)).toBe("EOVERFLOW");
  });

  test("are placed by the kernel, or where a target was seen to place them", () => {
    const bench = new Bench();
    const ioas = bench.alloc();
    const anywhere = { flags: READABLE };
    expect(bench.map(ioas, 0n, 1n, anywhere)).toBe("0");
    expect(bench.u64(32)).toBe(PAGE);
    expect(bench.map(ioas, 0n, 1n, { ...anywhere, length: 1n << 63n })).toBe("EOVERFLOW");
    const adopting = new Bench("7.2", {
      choose: (site, own, allowed) => (allowed(0x8000n) && site.at ? 0x8000n : own),
    });
    const other = adopting.alloc();
    expect(adopting.map(other, 0n, 1n, anywhere)).toBe("0");
    expect(adopting.u64(32)).toBe(0x8000n);
    expect(adopting.map(other, 0n, 1n, anywhere)).toBe("0");
    expect(adopting.u64(32)).toBe(PAGE);
  });

  test("are unmapped whole or not at all", () => {
    const bench = new Bench();
    const ioas = bench.alloc();
    for (const iova of [0n, 4n, 5n]) expect(bench.map(ioas, iova * PAGE, iova === 0n ? 2n : 1n)).toBe("0");
    expect(bench.unmap(ioas, PAGE, PAGE)).toBe("ENOENT");
    expect(bench.unmap(ioas, PAGE, 8n * PAGE)).toBe("ENOENT");
    expect(bench.unmap(ioas, 4n * PAGE, PAGE + 1n)).toBe("ENOENT");
    expect(bench.unmap(ioas, 4n * PAGE, 2n * PAGE, "readonly")).toBe("EFAULT");
    expect(bench.unmap(ioas, 3n * PAGE, 8n * PAGE)).toBe("0");
    expect(bench.u64(16)).toBe(2n * PAGE);
    expect(bench.unmap(ioas, 3n * PAGE, 8n * PAGE)).toBe("ENOENT");
    expect(bench.unmap(ioas, 1n, U64_MAX)).toBe("EOVERFLOW");
    expect(bench.unmap(ioas, 0n, 0n)).toBe("EINVAL");
    expect(bench.unmap(ioas, 3n, U64_MAX - 1n)).toBe("EOVERFLOW");
    expect(bench.unmap(ioas, 0n, U64_MAX)).toBe("0");
    expect(bench.u64(16)).toBe(2n * PAGE);
    expect(bench.unmap(ioas, 0n, U64_MAX)).toBe("0");
    expect(bench.u64(16)).toBe(0n);
  });
});

describe("attached devices", () => {
  test("pin what is mapped, then and before, and give it back", () => {
    const bench = new Bench();
    const ioas = bench.alloc();
    expect(bench.map(ioas, 0n, 3n)).toBe("0");
    expect(bench.k.mm.pinnedPages).toBe(0);
    const { device } = bench.attached(ioas);
    expect(bench.k.mm.pinnedPages).toBe(3);
    expect(bench.map(ioas, 0x10_0000n, 2n)).toBe("0");
    expect(bench.k.mm.pinnedPages).toBe(5);
    expect(bench.unmap(ioas, 0n, 3n * PAGE)).toBe("0");
    expect(bench.k.mm.pinnedPages).toBe(2);
    runStraight(bench.k.iommufdDevice.detachDevice(bench.k, device));
    expect(bench.k.mm.pinnedPages).toBe(0);
  });

  test("count what they pin against the user's limit, for a caller without CAP_IPC_LOCK", () => {
    const bench = new Bench();
    const ioas = bench.alloc();
    const { k } = bench;
    bench.attached(ioas);
    k.credentials.setMemlock(k, 4n * PAGE, U64_MAX);
    expect(bench.map(ioas, 0n, 9n)).toBe("0");
    k.credentials.setCapabilities(k, ["CAP_IPC_LOCK"]);
    expect(bench.map(ioas, 0x10_0000n, 3n)).toBe("0");
    expect(bench.map(ioas, 0x20_0000n, 2n)).toBe("ENOMEM");
    expect(bench.map(ioas, 0x20_0000n, 2n, { user_va: MEMORY.hole - PAGE })).toBe("EFAULT");
    expect(bench.map(ioas, 0x20_0000n, 1n)).toBe("0");
    expect(k.mm.pinnedPages).toBe(13);
    expect(bench.unmap(ioas, 0x10_0000n, 3n * PAGE)).toBe("0");
    expect(k.userLockedPages).toBe(1);
  });

  test("need memory that is there; what fails leaves nothing", () => {
    const bench = new Bench();
    const ioas = bench.alloc();
    bench.attached(ioas);
    expect(bench.map(ioas, 0n, 1n, { user_va: MEMORY.hole })).toBe("EFAULT");
    expect(bench.map(ioas, 0n, 1n, { user_va: MEMORY.userReadonly })).toBe("EFAULT");
    expect(bench.map(ioas, 0n, 1n, {}, "readonly")).toBe("EFAULT");
    expect(bench.k.mm.pinnedPages).toBe(0);
    expect(bench.map(ioas, 0n, 1n, { user_va: MEMORY.userReadonly, flags: FIXED | READABLE })).toBe("0");
    expect(bench.map(ioas, 1n << 20n, 4097n)).toBe("EFAULT");
    expect(bench.map(ioas, 1n << 20n, 1n, { user_va: MEMORY.user + 1n })).toBe("EINVAL");
    expect(bench.map(ioas, 1n << 39n)).toBe("EINVAL");
    expect(bench.map(ioas, 0xfee0_1000n)).toBe("EINVAL");
  });

  test("can't be attached to an IOAS that does not suit them, which is then as before", () => {
    for (const [iova, more] of [
      [MSI_WINDOW.start, {}],
      [1n << 39n, {}],
      [1n, {}],
    ] as const) {
      const bench = new Bench();
      const ioas = bench.alloc();
      expect(bench.map(ioas, iova, 1n, more)).toBe("0");
      expect(bench.outcome(() => bench.attached(ioas).hwpt)).toBe("EADDRINUSE");
      expect(bench.file.context.objects.size).toBe(2);
      expect(bench.file.context.get(ioas)).toMatchObject({ users: 1, pagetable: { reserved: [], alignment: 1n } });
    }
    const bench = new Bench();
    const ioas = bench.alloc();
    expect(bench.map(ioas, 0n)).toBe("0");
    expect(bench.map(ioas, PAGE, 1n, { user_va: MEMORY.hole })).toBe("0");
    expect(bench.outcome(() => bench.attached(ioas).hwpt)).toBe("EFAULT");
    expect(bench.k.mm.pinnedPages).toBe(0);
  });

  test("share an hwpt, move together with their group, and take an hwpt of the kernel's making along", () => {
    const bench = new Bench();
    const [first, second] = [bench.alloc(), bench.alloc()];
    const group = new IommuGroup(1);
    const one = bench.attached(first, pciFunction(group));
    const two = bench.attached(first, pciFunction(group));
    expect(two.hwpt).toBe(one.hwpt);
    expect(bench.call("IOMMU_DESTROY", { id: first })).toBe("EBUSY");
    expect(bench.call("IOMMU_DESTROY", { id: one.hwpt })).toBe("EBUSY");
    expect(bench.call("IOMMU_DESTROY", { id: one.device.id })).toBe("EBUSY");
    const { iommufdDevice } = bench.k;
    const moved = runStraight(iommufdDevice.replaceDevice(bench.k, one.device, second, null));
    expect(moved).not.toBe(one.hwpt);
    expect(runStraight(iommufdDevice.replaceDevice(bench.k, two.device, second, null))).toBe(moved);
    expect(bench.file.context.get(one.hwpt)).toBeUndefined();
    expect(bench.call("IOMMU_DESTROY", { id: first })).toBe("0");
    for (const { device } of [one, two]) {
      runStraight(iommufdDevice.detachDevice(bench.k, device));
      runStraight(iommufdDevice.unbindDevice(bench.k, device));
    }
    expect(bench.call("IOMMU_DESTROY", { id: second })).toBe("0");
    expect(bench.file.context.objects.size).toBe(0);
    expect(bench.file.refs).toBe(1);
    expect(group.ownerCount).toBe(0);
  });

  test("of one group can't be attached apart", () => {
    const bench = new Bench();
    const [first, second] = [bench.alloc(), bench.alloc()];
    const group = new IommuGroup(1);
    bench.attached(first, pciFunction(group));
    expect(bench.outcome(() => bench.attached(second, pciFunction(group)).hwpt)).toBe("EINVAL");
    expect(bench.call("IOMMU_DESTROY", { id: second })).toBe("0");
  });

  test("behind another IOMMU get an hwpt of their own", () => {
    const bench = new Bench();
    const ioas = bench.alloc();
    const near = bench.attached(ioas, pciFunction(new IommuGroup(1)));
    const far = bench.attached(ioas, pciFunction(new IommuGroup(2), 48));
    expect(far.hwpt).not.toBe(near.hwpt);
    expect(bench.map(ioas, 1n << 39n)).toBe("EINVAL");
  });

  test("keep their attachment when another is refused", () => {
    const bench = new Bench();
    const [first, second] = [bench.alloc(), bench.alloc()];
    const { device, hwpt } = bench.attached(first);
    expect(bench.map(second, MSI_WINDOW.start)).toBe("0");
    const replace = (id: number) => runStraight(bench.k.iommufdDevice.replaceDevice(bench.k, device, id, null));
    expect(bench.outcome(() => replace(second))).toBe("EADDRINUSE");
    expect(bench.outcome(() => replace(99))).toBe("ENOENT");
    expect(bench.outcome(() => replace(device.id))).toBe("EINVAL");
    expect(replace(hwpt)).toBe(hwpt);
    expect(replace(first)).toBe(hwpt);
    expect(bench.call("IOMMU_DESTROY", { id: second })).toBe("0");
  });
});

describe("IOVA ranges", () => {
  const ask = (bench: Bench, ioas: number, room: number, array: StructArgument = { fields: {} }, place?: Place) =>
    bench.call("IOMMU_IOAS_IOVA_RANGES", { ioas_id: ioas, num_iovas: room, allowed_iovas: array }, place);
  const ranges = (bench: Bench, count: number) =>
    Array.from({ length: count }, (_, i) => [bench.pointed().u64(16 * i), bench.pointed().u64(16 * i + 8)]);

  test("a fresh IOAS allows everything; a device takes its window and what its IOMMU can't reach", () => {
    const bench = new Bench();
    const ioas = bench.alloc();
    expect(ask(bench, ioas, 4)).toBe("0");
    expect([bench.u32(8), bench.u64(24)]).toEqual([1, 1n]);
    expect(ranges(bench, 2)).toEqual([
      [0n, U64_MAX],
      [0n, 0n],
    ]);
    const { device } = bench.attached(ioas);
    expect(ask(bench, ioas, 4)).toBe("0");
    expect([bench.u32(8), bench.u64(24)]).toEqual([2, PAGE]);
    expect(ranges(bench, 2)).toEqual([
      [0n, MSI_WINDOW.start - 1n],
      [MSI_WINDOW.last + 1n, (1n << 39n) - 1n],
    ]);
    runStraight(bench.k.iommufdDevice.detachDevice(bench.k, device));
    expect(ask(bench, ioas, 1)).toBe("0");
    expect(ranges(bench, 1)).toEqual([[0n, U64_MAX]]);
  });

  test("an array that is too short is filled, and its right length told", () => {
    const bench = new Bench();
    const ioas = bench.alloc();
    bench.attached(ioas);
    expect(ask(bench, ioas, 1)).toBe("EMSGSIZE");
    expect(bench.u32(8)).toBe(2);
    expect(ranges(bench, 2)[1]).toEqual([0n, 0n]);
    expect(ask(bench, ioas, 0, { fields: {}, place: "null" })).toBe("EMSGSIZE");
    expect(bench.u32(8)).toBe(2);
  });

  test("what is refused leaves the struct, but ranges in front of a hole are there", () => {
    const bench = new Bench();
    const ioas = bench.alloc();
    bench.attached(ioas);
    expect(bench.call("IOMMU_IOAS_IOVA_RANGES", { ioas_id: 77, __reserved: 1 })).toBe("EOPNOTSUPP");
    expect(ask(bench, 77, 4)).toBe("ENOENT");
    expect(ask(bench, ioas, 4, { fields: {}, place: 24 })).toBe("EFAULT");
    expect([bench.u32(8), bench.u64(24)]).toEqual([4, 0n]);
    expect(bench.pointed().u64(8)).toBe(MSI_WINDOW.start - 1n);
    expect(bench.pointed().definedUpTo).toBe(16);
    expect(ask(bench, ioas, 4, { fields: {} }, "readonly")).toBe("EFAULT");
    expect(ask(bench, ioas, 4, { fields: {}, place: "readonly" })).toBe("EFAULT");
  });
});

describe("emulated devices", () => {
  test("hold the IOAS to whole pages, and nothing else", () => {
    const bench = new Bench();
    const { k, file } = bench;
    const [odd, ioas] = [bench.alloc(), bench.alloc()];
    expect(bench.map(odd, 1n)).toBe("0");
    const access = runStraight(k.iommufdDevice.createAccess(k, file.context, null));
    const attach = (id: number) => runStraight(k.iommufdDevice.attachAccess(k, access, id));
    expect(bench.outcome(() => attach(odd))).toBe("EADDRINUSE");
    expect(bench.outcome(() => attach(access.id))).toBe("ENOENT");
    attach(ioas);
    expect(bench.map(ioas, 1n)).toBe("EINVAL");
    expect(bench.map(ioas, PAGE)).toBe("0");
    expect(bench.call("IOMMU_DESTROY", { id: ioas })).toBe("EBUSY");
    expect(k.mm.pinnedPages).toBe(0);
    runStraight(k.iommufdDevice.destroyAccess(k, access));
    expect(bench.call("IOMMU_DESTROY", { id: ioas })).toBe("0");
    expect(file.refs).toBe(1);
  });
});

describe("compatibility with VFIO's container", () => {
  test("is about one IOAS, which a group makes unless there is one", () => {
    const bench = new Bench();
    const { k, file } = bench;
    expect(bench.call("IOMMU_VFIO_IOAS", { op: 0 })).toBe("ENODEV");
    expect(bench.outcome(() => runStraight(k.iommufd.checkExtension(k, file.context, 4)))).toBe("ENODEV");
    expect(bench.outcome(() => runStraight(k.iommufd.setIommu(k, file.context, 3)))).toBe("ENODEV");
    expect(bench.outcome(() => runStraight(k.iommufd.setIommu(k, file.context, 9)))).toBe("EINVAL");
    runStraight(k.iommufd.compatIoasCreate(k, file.context));
    runStraight(k.iommufd.compatIoasCreate(k, file.context));
    expect(bench.call("IOMMU_VFIO_IOAS", { op: 0 })).toBe("0");
    expect(bench.u32(4)).toBe(1);
    expect(file.context.objects.size).toBe(1);
    expect(bench.call("IOMMU_DESTROY", { id: 1 })).toBe("0");
    expect(bench.call("IOMMU_VFIO_IOAS", { op: 0 })).toBe("ENODEV");
  });
});

test("closing the file gives everything back, in an order of locks without a cycle", () => {
  const bench = new Bench();
  const ioas = bench.alloc();
  const { device } = bench.attached(ioas);
  expect(bench.map(ioas, 0n, 4n)).toBe("0");
  runStraight(bench.k.iommufdDevice.detachDevice(bench.k, device));
  runStraight(bench.k.iommufdDevice.unbindDevice(bench.k, device));
  runStraight(bench.file.release(bench.k));
  expect(bench.file.context.objects.size).toBe(0);
  expect(bench.k.mm.pinnedPages).toBe(0);
  expect(bench.order.cycles).toEqual([]);
  expect(bench.k.task.held).toEqual([]);
});
