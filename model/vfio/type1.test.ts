/** The commands of a container with type1: which check comes first, and what is left behind. */
import { describe, expect, test } from "vitest";
import { MEMORY } from "../kernel/memory-map.ts";
import { Unmodelled } from "../kernel/operation.ts";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Call, Fields, FieldValue, Place } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import { errnoName } from "../uapi/errno.ts";
import { DIRTY, DirtyPages, DmaMap, DmaUnmap, MAP, UNMAP } from "./type1-layouts.ts";

const PAGE = 4096n;
const TOP = (1n << 64n) - PAGE;
const V1 = 1;
const V2 = 3;
const RW = MAP.READ | MAP.WRITE;

/** A container with an instance, and the groups of some devices. */
class Bench {
  readonly machine: Machine;

  constructor(version: "6.1" | "6.12" | "7.2" = "7.2", type = V2, ...devices: string[]) {
    const profile = PROFILES[version];
    if (!profile) throw new Error(`there is no profile ${version}`);
    this.machine = new Machine({ topology: REFERENCE_TOPOLOGY, profile });
    this.step({ op: "open", node: { kind: "container" }, as: "@c" });
    for (const device of devices.length > 0 ? devices : ["edu0"]) this.join(device);
    this.step({ op: "ioctl", fd: "@c", request: "VFIO_SET_IOMMU", arg: { kind: "value", value: type } });
  }

  /** "0", a number, or the name of an errno. */
  step(call: Call): string {
    const { ret } = this.machine.step(call);
    return ret < 0 ? errnoName(-ret) : String(ret);
  }

  ioctl(fd: string, request: string, fields: Fields, place?: Place, tail?: readonly number[]): string {
    const struct = { fields, ...(place === undefined ? {} : { place }), ...(tail ? { tail } : {}) };
    return this.step({ op: "ioctl", fd, request, arg: { kind: "struct", struct } });
  }

  join(device: string): string {
    this.step({ op: "open", node: { kind: "group", device }, as: `@${device}` });
    return this.ioctl(`@${device}`, "VFIO_GROUP_SET_CONTAINER", { fd: "@c" });
  }

  leave(device: string): string {
    return this.step({
      op: "ioctl",
      fd: `@${device}`,
      request: "VFIO_GROUP_UNSET_CONTAINER",
      arg: { kind: "value", value: 0 },
    });
  }

  map(iova: bigint, size: bigint, more: Fields = {}, place?: Place): string {
    const fields = { argsz: DmaMap.size, flags: RW, vaddr: MEMORY.user, iova, size, ...more };
    return this.ioctl("@c", "VFIO_IOMMU_MAP_DMA", fields, place);
  }

  /** The size that came back, or the errno. */
  unmap(iova: bigint, size: bigint, more: Fields = {}, place?: Place): string {
    const ret = this.ioctl("@c", "VFIO_IOMMU_UNMAP_DMA", { argsz: DmaUnmap.size, iova, size, ...more }, place);
    return ret === "0" ? String(this.view.getBigUint64(16, true)) : ret;
  }

  dirty(flags: number, more: Fields = {}, place?: Place): string {
    return this.ioctl("@c", "VFIO_IOMMU_DIRTY_PAGES", { argsz: DirtyPages.size, flags, ...more }, place);
  }

  /** The first word of the dirty bitmap of a range, or the errno. */
  bitmap(iova: bigint, size: bigint, more: Fields = {}, place?: Place): string {
    const data: FieldValue = place === undefined ? { fields: {} } : { fields: {}, place };
    const bits = { bitmap_pgsize: PAGE, bitmap_size: 64, bitmap_data: data };
    const ret = this.dirty(DIRTY.GET_BITMAP, { iova, size, ...bits, ...more });
    const [block] = this.machine.answer.pointed;
    return ret === "0" && block ? `0x${block.u64(0).toString(16)}` : ret;
  }

  get locked(): number {
    return this.machine.k.mm.lockedPages;
  }

  get view(): DataView {
    const { block } = this.machine;
    return new DataView(block.buffer, block.byteOffset);
  }

  limit(pages: bigint): void {
    this.step({ op: "prlimit", resource: "RLIMIT_MEMLOCK", soft: pages * PAGE, hard: pages * PAGE });
    this.step({ op: "capset", without: ["CAP_IPC_LOCK"] });
  }
}

describe("VFIO_IOMMU_MAP_DMA", () => {
  test("looks at the struct, argsz, flags, and then at the range", () => {
    const bench = new Bench();
    expect(bench.map(0n, PAGE, {}, 31)).toBe("EFAULT");
    expect(bench.map(0n, PAGE, { argsz: 31 })).toBe("EINVAL");
    expect(bench.map(0n, PAGE, { flags: 8 })).toBe("EINVAL");
    expect(bench.map(0n, PAGE, { flags: 0 })).toBe("EINVAL");
    expect(bench.map(0n, PAGE, { flags: MAP.VADDR | MAP.READ })).toBe("EINVAL");
    expect(bench.map(1n, PAGE)).toBe("EINVAL");
    expect(bench.map(0n, PAGE, { vaddr: MEMORY.user + 1n })).toBe("EINVAL");
    expect(bench.map(0n, PAGE)).toBe("0");
    expect(bench.map(0n, 2n * PAGE)).toBe("EEXIST");
  });

  test("a range beyond the end comes before the flags since 6.18, and behind the alignment before", () => {
    for (const [version, overflow, flagless] of [
      ["7.2", "EOVERFLOW", "EOVERFLOW"],
      ["6.12", "EINVAL", "EINVAL"],
    ] as const) {
      const bench = new Bench(version);
      expect(bench.map(TOP, 2n * PAGE)).toBe(overflow);
      expect(bench.map(TOP, 2n * PAGE, { flags: 0 })).toBe(flagless);
      expect(bench.map(0n, 2n * PAGE, { vaddr: TOP })).toBe(overflow);
      expect(bench.map(0n, 0n)).toBe("EINVAL");
    }
  });

  test("something mapped there, then no room, then a range that may not be", () => {
    const bench = new Bench();
    const { dmaEntryLimit } = REFERENCE_TOPOLOGY;
    expect(bench.map(0xfee0_0000n, PAGE)).toBe("EINVAL");
    expect(bench.map(1n << 39n, PAGE)).toBe("EINVAL");
    for (let n = 0; n < dmaEntryLimit; n++) expect(bench.map(BigInt(n) * PAGE, PAGE)).toBe("0");
    expect(bench.map(0n, PAGE)).toBe("EEXIST");
    expect(bench.map(0xfee0_0000n, PAGE)).toBe("ENOSPC");
    expect(bench.unmap(0n, PAGE)).toBe("4096");
    expect(bench.map(0xfee0_0000n, PAGE)).toBe("EINVAL");
  });

  test("memory must be there and writable for devices that write, once an IOMMU is behind it", () => {
    const bench = new Bench();
    expect(bench.map(0n, PAGE, { vaddr: MEMORY.hole })).toBe("EFAULT");
    expect(bench.map(0n, PAGE, { vaddr: MEMORY.userReadonly })).toBe("EFAULT");
    expect(bench.map(0n, 2n * PAGE, { vaddr: MEMORY.userReadonly - PAGE })).toBe("EFAULT");
    expect(bench.locked).toBe(0);
    expect(bench.map(0n, PAGE, { vaddr: MEMORY.userReadonly, flags: MAP.READ })).toBe("0");
    expect(bench.locked).toBe(1);
    const emulated = new Bench("7.2", V2, "mtty0");
    expect(emulated.map(0n, PAGE, { vaddr: MEMORY.hole })).toBe("0");
    expect(emulated.map(TOP, PAGE)).toBe("0");
    expect(emulated.map(TOP, PAGE)).toBe("EEXIST");
    expect(emulated.locked).toBe(0);
  });

  test("the limit decides where it is reached before the first bad page", () => {
    const end = MEMORY.user + BigInt(MEMORY.userSize);
    const bench = new Bench();
    bench.limit(2n);
    expect(bench.map(0n, 3n * PAGE)).toBe("ENOMEM");
    expect(bench.map(0n, 4n * PAGE, { vaddr: end - 3n * PAGE })).toBe("ENOMEM");
    expect(bench.map(0n, 4n * PAGE, { vaddr: end - 2n * PAGE })).toBe("EFAULT");
    expect(bench.map(0n, 2n * PAGE)).toBe("0");
    bench.step({ op: "prlimit", resource: "RLIMIT_MEMLOCK", soft: 0, hard: 0 });
    expect(bench.map(1n << 20n, PAGE, { vaddr: MEMORY.hole })).toBe("EFAULT");
    bench.step({ op: "capset", without: [] });
    expect(bench.map(1n << 20n, PAGE)).toBe("0");
    expect(bench.locked).toBe(3);
  });

  test("before 6.2 memory that was never written is nobody's to count", () => {
    const bench = new Bench("6.1");
    expect(bench.map(0n, 2n * PAGE, { flags: MAP.READ })).toBe("0");
    expect(bench.locked).toBe(0);
    expect(bench.map(1n << 20n, PAGE)).toBe("0");
    expect(bench.map(1n << 21n, 2n * PAGE, { flags: MAP.READ })).toBe("0");
    expect(bench.locked).toBe(2);
    expect(bench.unmap(0n, 0n, { flags: UNMAP.ALL })).toBe("20480");
    expect(bench.locked).toBe(0);
  });
});

describe("VFIO_IOMMU_UNMAP_DMA", () => {
  test("looks at the struct, argsz, flags, bitmap, and then at the range", () => {
    const bench = new Bench();
    const GET = UNMAP.GET_DIRTY_BITMAP;
    expect(bench.unmap(0n, PAGE, {}, 23)).toBe("EFAULT");
    expect(bench.unmap(0n, PAGE, { argsz: 23 })).toBe("EINVAL");
    expect(bench.unmap(0n, PAGE, { flags: 8 })).toBe("EINVAL");
    expect(bench.unmap(0n, PAGE, { flags: GET | UNMAP.ALL }, 24)).toBe("EINVAL");
    expect(bench.unmap(0n, PAGE, { flags: GET, argsz: 47 }, 24)).toBe("EINVAL");
    expect(bench.unmap(0n, PAGE, { flags: GET }, 47)).toBe("EFAULT");
    expect(bench.unmap(0n, PAGE, { flags: GET, bitmap_pgsize: 4096 })).toBe("EINVAL");
    expect(bench.unmap(1n, PAGE)).toBe("EINVAL");
    expect(bench.unmap(0n, 1n)).toBe("EINVAL");
    expect(bench.unmap(0n, 0n)).toBe("EINVAL");
    expect(bench.unmap(PAGE, 0n, { flags: UNMAP.ALL })).toBe("EINVAL");
    expect(bench.unmap(TOP, 2n * PAGE)).toBe("EOVERFLOW");
    expect(new Bench("6.12").unmap(TOP, 2n * PAGE)).toBe("EINVAL");
    expect(bench.unmap(TOP, PAGE)).toBe("0");
  });

  test("v2 splits nothing, and takes what lies wholly in the range", () => {
    const bench = new Bench();
    bench.map(0n, 2n * PAGE);
    bench.map(4n * PAGE, 2n * PAGE);
    expect(bench.unmap(PAGE, 8n * PAGE)).toBe("EINVAL");
    expect(bench.unmap(0n, 5n * PAGE)).toBe("EINVAL");
    expect(bench.unmap(0n, 2n * PAGE, {}, "readonly")).toBe("EFAULT");
    expect(bench.locked).toBe(4);
    expect(bench.unmap(0n, 8n * PAGE)).toBe("16384");
    expect(bench.unmap(0n, 8n * PAGE)).toBe("0");
    expect(bench.locked).toBe(0);
  });

  test("v1 takes whole what begins in the range, unless something begins before it", () => {
    const bench = new Bench("7.2", V1);
    bench.map(0n, 2n * PAGE);
    bench.map(4n * PAGE, 2n * PAGE);
    expect(bench.unmap(PAGE, 8n * PAGE)).toBe("0");
    expect(bench.unmap(2n * PAGE, 3n * PAGE)).toBe("8192");
    expect(bench.unmap(0n, PAGE)).toBe("8192");
  });

  test("takes addresses away, once, and gives others back", () => {
    const bench = new Bench();
    const VADDR = UNMAP.VADDR;
    bench.map(0n, PAGE);
    bench.map(4n * PAGE, PAGE);
    expect(bench.unmap(4n * PAGE, PAGE, { flags: VADDR })).toBe("4096");
    expect(bench.unmap(0n, 8n * PAGE, { flags: VADDR })).toBe("EINVAL");
    expect(bench.join("nic0.0")).toBe("EBUSY");
    expect(bench.map(0n, PAGE, { flags: MAP.VADDR })).toBe("EINVAL");
    expect(bench.map(4n * PAGE, 2n * PAGE, { flags: MAP.VADDR })).toBe("EINVAL");
    expect(bench.map(8n * PAGE, PAGE, { flags: MAP.VADDR })).toBe("ENOENT");
    expect(bench.map(4n * PAGE, PAGE, { flags: MAP.VADDR, vaddr: MEMORY.hole })).toBe("0");
    expect(bench.join("nic0.0")).toBe("0");
    expect(bench.locked).toBe(2);
    const emulated = new Bench("7.2", V2, "mtty0");
    expect(emulated.unmap(1n, PAGE, { flags: VADDR })).toBe("EBUSY");
  });
});

describe("VFIO_IOMMU_DIRTY_PAGES", () => {
  test("v1 says so first; then the struct, argsz, flags, one of them", () => {
    expect(new Bench("7.2", V1).dirty(DIRTY.START, {}, "null")).toBe("EACCES");
    const bench = new Bench();
    expect(bench.dirty(DIRTY.START, {}, 7)).toBe("EFAULT");
    expect(bench.dirty(DIRTY.START, { argsz: 7 })).toBe("EINVAL");
    expect(bench.dirty(DIRTY.START | DIRTY.STOP)).toBe("EINVAL");
    expect(bench.dirty(0)).toBe("EINVAL");
    expect(bench.dirty(DIRTY.STOP, { argsz: 8 }, 8)).toBe("0");
    expect(bench.dirty(DIRTY.GET_BITMAP, { argsz: 47 }, 8)).toBe("EINVAL");
    expect(bench.dirty(DIRTY.GET_BITMAP, {}, 8)).toBe("EFAULT");
  });

  test("a bitmap is looked at before anything is known of the mappings", () => {
    const bench = new Bench();
    bench.map(0n, 4n * PAGE);
    expect(bench.bitmap(0n, 4n * PAGE)).toBe("EINVAL");
    bench.dirty(DIRTY.START);
    expect(bench.bitmap(TOP, 2n * PAGE)).toBe("EOVERFLOW");
    expect(bench.bitmap(0n, 0n)).toBe("EINVAL");
    expect(bench.bitmap(0n, 65n * PAGE, { bitmap_size: 8 })).toBe("EINVAL");
    expect(bench.bitmap(0n, 4n * PAGE, { bitmap_pgsize: 0 })).toBe("EINVAL");
    expect(bench.bitmap(PAGE, 4n * PAGE)).toBe("EINVAL");
    expect(bench.bitmap(0n, 2n * PAGE)).toBe("EINVAL");
    expect(bench.bitmap(0n, 4n * PAGE, {}, "readonly")).toBe("EFAULT");
    expect(bench.bitmap(0n, 4n * PAGE)).toBe("0xf");
    expect(bench.bitmap(0n, 8n * PAGE)).toBe("0xf");
    expect(bench.bitmap(8n * PAGE, 8n * PAGE, {}, "readonly")).toBe("0x0");
  });

  test("what no IOMMU reaches is clean, but once after the last has left", () => {
    const bench = new Bench("7.2", V2, "mtty0");
    bench.map(2n * PAGE, 2n * PAGE);
    bench.dirty(DIRTY.START);
    expect(bench.bitmap(0n, 8n * PAGE)).toBe("0x0");
    bench.join("edu0");
    expect(bench.bitmap(0n, 8n * PAGE)).toBe("0xc");
    bench.leave("edu0");
    expect(bench.bitmap(0n, 8n * PAGE)).toBe("0xc");
    expect(bench.bitmap(0n, 8n * PAGE)).toBe("0x0");
  });

  test("what has too many pages can't be logged", () => {
    const bench = new Bench("7.2", V2, "mtty0");
    expect(bench.map(1n << 48n, 1n << 48n)).toBe("0");
    expect(bench.dirty(DIRTY.START)).toBe("EINVAL");
    expect(bench.unmap(0n, 0n, { flags: UNMAP.ALL })).toBe(String(1n << 48n));
    expect(bench.dirty(DIRTY.START)).toBe("0");
    expect(bench.map(1n << 48n, 1n << 48n)).toBe("EINVAL");
  });

  test("what the model can't follow it says", () => {
    const bench = new Bench();
    bench.map(0n, PAGE);
    bench.map(4096n * PAGE, PAGE);
    bench.dirty(DIRTY.START);
    expect(() => bench.bitmap(0n, 8192n * PAGE, { bitmap_size: 1024 })).toThrow(Unmodelled);
    expect(() => bench.bitmap(0n, PAGE, { bitmap_data: { fields: { word_0: 1 } } })).toThrow(Unmodelled);
  });
});

describe("VFIO_IOMMU_GET_INFO", () => {
  const info = (bench: Bench, argsz: number, place?: Place): string =>
    bench.ioctl("@c", "VFIO_IOMMU_GET_INFO", { argsz }, place, new Array(120).fill(0));
  const u32 = (bench: Bench, at: number): number => bench.view.getUint32(at, true);

  test("raises argsz where capabilities do not fit, and chains them where they do", () => {
    const bench = new Bench();
    expect(info(bench, 16, 15)).toBe("EFAULT");
    expect(info(bench, 15)).toBe("EINVAL");
    expect(info(bench, 24)).toBe("0");
    expect([u32(bench, 0), u32(bench, 4), u32(bench, 16)]).toEqual([120, 3, 0]);
    expect(bench.view.getBigUint64(8, true)).toBe(0x4020_1000n);
    expect(info(bench, 120, "readonly")).toBe("EFAULT");
    expect(info(bench, 120)).toBe("0");
    expect([u32(bench, 0), u32(bench, 16), u32(bench, 28), u32(bench, 60), u32(bench, 64)]).toEqual([
      120,
      24,
      56,
      72,
      REFERENCE_TOPOLOGY.dmaEntryLimit,
    ]);
    expect(u32(bench, 80)).toBe(2);
    expect(bench.view.getBigUint64(96, true)).toBe(0xfedf_ffffn);
    expect(bench.view.getBigUint64(112, true)).toBe((1n << 39n) - 1n);
  });

  test("has no ranges while no IOMMU has been there, and all of them when it has left", () => {
    const bench = new Bench("7.2", V2, "mtty0");
    expect(info(bench, 24)).toBe("0");
    expect(u32(bench, 0)).toBe(72);
    expect(bench.view.getBigUint64(8, true)).toBe((1n << 64n) - PAGE);
    bench.join("edu0");
    bench.leave("edu0");
    expect(info(bench, 104)).toBe("0");
    expect(u32(bench, 80)).toBe(1);
    expect(bench.view.getBigUint64(96, true)).toBe((1n << 64n) - 1n);
  });

  test("before 6.6 capabilities are not aligned and the padding is left alone", () => {
    const bench = new Bench("6.1");
    expect(info(bench, 116)).toBe("0");
    expect([u32(bench, 0), u32(bench, 60)]).toEqual([116, 68]);
    expect(info(bench, 20, 20)).toBe("0");
    expect(info(bench, 24, 20)).toBe("0");
  });
});

describe("groups", () => {
  test("behind an IOMMU have pinned what was mapped before, or do not join", () => {
    const bench = new Bench("7.2", V2, "mtty0");
    bench.limit(4n);
    bench.map(0n, 3n * PAGE);
    bench.map(8n * PAGE, 2n * PAGE);
    expect(bench.join("edu0")).toBe("ENOMEM");
    expect(bench.locked).toBe(0);
    expect(bench.unmap(8n * PAGE, 2n * PAGE)).toBe("8192");
    expect(bench.join("nic0.0")).toBe("0");
    expect(bench.locked).toBe(3);
    expect(bench.join("rooted0")).toBe("0");
    expect(bench.locked).toBe(3);
    bench.leave("nic0.0");
    expect(bench.locked).toBe(3);
    bench.leave("rooted0");
    expect(bench.locked).toBe(0);
    expect(bench.map(0n, PAGE)).toBe("EEXIST");
  });

  test("do not join where something is mapped that they can't have", () => {
    const bench = new Bench("7.2", V2, "mtty0");
    bench.map(0xfee0_0000n, PAGE, { vaddr: MEMORY.hole });
    expect(bench.join("edu0")).toBe("EINVAL");
    bench.unmap(0n, 0n, { flags: UNMAP.ALL });
    bench.map(0n, PAGE, { vaddr: MEMORY.hole });
    expect(bench.join("nic0.0")).toBe("EFAULT");
  });

  test("leave nothing behind when the last goes", () => {
    const bench = new Bench();
    bench.map(0n, 3n * PAGE);
    bench.leave("edu0");
    expect(bench.locked).toBe(0);
    expect(bench.map(0n, PAGE)).toBe("EINVAL");
  });
});
