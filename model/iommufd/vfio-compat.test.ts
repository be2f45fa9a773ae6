/** VFIO's own commands on an iommufd: which check comes first, and what comes back. */
import { describe, expect, test } from "vitest";
import { MEMORY } from "../kernel/memory-map.ts";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Call, Fields, Outcome, Place } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import { errnoName } from "../uapi/errno.ts";
import { DmaMap, DmaUnmap, Info, UNMAP } from "../vfio/type1-layouts.ts";

const PAGE = 4096n;
const V1 = 1;
const V2 = 3;

/** An iommufd in the place of a container, with the group of a device. */
class Bench {
  readonly #machine: Machine;

  constructor(type = V2, device = "mtty0") {
    const profile = PROFILES["7.2"];
    if (!profile) throw new Error("there is no profile 7.2");
    this.#machine = new Machine({ topology: REFERENCE_TOPOLOGY, profile });
    this.step({ op: "open", node: { kind: "iommufd" }, as: "@c" });
    this.step({ op: "open", node: { kind: "group", device }, as: "@group" });
    this.ioctl("VFIO_GROUP_SET_CONTAINER", { fd: "@c" }, undefined, "@group");
    this.step({ op: "ioctl", fd: "@c", request: "VFIO_SET_IOMMU", arg: { kind: "value", value: type } });
  }

  step(call: Call): Outcome {
    this.#machine.step(call);
    return this.#machine.outcome();
  }

  ioctl(request: string, fields: Fields, place?: Place, fd = "@c"): Outcome {
    const struct = place === undefined ? { fields } : { fields, place };
    return this.step({ op: "ioctl", fd, request, arg: { kind: "struct", struct } });
  }

  map(iova: bigint, size: bigint): string {
    return said(this.ioctl("VFIO_IOMMU_MAP_DMA", { argsz: DmaMap.size, flags: 3, vaddr: MEMORY.user, iova, size }));
  }

  /** "0 of N" with the bytes that size says, or the errno's name with them. */
  unmap(iova: bigint, size: bigint, flags = 0, place?: Place): string {
    const outcome = this.ioctl("VFIO_IOMMU_UNMAP_DMA", { argsz: DmaUnmap.size, flags, iova, size }, place);
    const { bytes } = outcome;
    const told = bytes && new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(16, true);
    return `${said(outcome)} of ${told}`;
  }

  /** 32-bit words of the struct and what follows it. */
  info(argsz: number): number[] {
    const room = Math.max(0, Math.ceil((argsz - Info.size) / 8));
    const { bytes } = this.ioctl("VFIO_IOMMU_GET_INFO", { argsz, capabilities: Array.from({ length: room }, () => 0) });
    if (!bytes) throw new Error("the struct did not come back");
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Array.from({ length: bytes.length >> 2 }, (_, i) => view.getUint32(4 * i, true));
  }
}

const said = ({ ret }: Outcome): string => (ret < 0 ? errnoName(-ret) : String(ret));

describe("unmapping", () => {
  test("brings what was unmapped, which may be nothing", () => {
    const bench = new Bench();
    expect(bench.unmap(0n, PAGE)).toBe("0 of 0");
    expect(bench.map(0n, 2n * PAGE)).toBe("0");
    expect(bench.unmap(0n, 16n * PAGE)).toBe("0 of 8192");
  });

  test("says 0 where the range is refused, and leaves size alone where the flags are", () => {
    const bench = new Bench();
    bench.map(0n, 2n * PAGE);
    expect(bench.unmap(0n, PAGE)).toBe("ENOENT of 0");
    expect(bench.unmap(0n, PAGE, UNMAP.VADDR)).toBe("EINVAL of 4096");
    expect(bench.unmap(0n, PAGE, UNMAP.ALL)).toBe("EINVAL of 4096");
  });

  test("cuts mappings between pages with v1, and makes them whole again where it is refused", () => {
    const bench = new Bench(V1);
    bench.map(0n, 4n * PAGE);
    expect(bench.unmap(PAGE, 2n * PAGE, 0, "readonly")).toBe("EFAULT of 8192");
    expect(bench.unmap(PAGE, 0n)).toBe("EINVAL of 0");
    expect(bench.unmap(PAGE, 100n)).toBe("EINVAL of 100");
    expect(bench.unmap(PAGE, 2n * PAGE)).toBe("0 of 8192");
    expect(bench.map(0n, PAGE)).toBe("EEXIST");
    expect(bench.map(PAGE, 2n * PAGE)).toBe("0");
  });
});

describe("information", () => {
  test("tells of no limit and of all addresses, where no device is attached", () => {
    const words = new Bench().info(72);
    expect(words.slice(0, 6)).toEqual([72, 3, 0xffff_f000, 0xffff_ffff, 24, 0]);
    expect(words.slice(6, 10)).toEqual([0x1_0003, 40, 0xffff_ffff, 0]);
    expect(words.slice(10)).toEqual([0x1_0001, 0, 1, 0, 0, 0, 0xffff_ffff, 0xffff_ffff]);
  });

  test("puts the capabilities that fit, and tells by cap_offset that they are not all", () => {
    const bench = new Bench();
    expect(bench.info(24)).toEqual([72, 3, 0xffff_f000, 0xffff_ffff, 0, 0]);
    expect(bench.info(40).slice(4)).toEqual([0, 0, 0x1_0003, 40, 0xffff_ffff, 0]);
    expect(bench.info(71).slice(4, 14)).toEqual([0, 0, 0x1_0003, 40, 0xffff_ffff, 0, 0, 0, 0, 0]);
  });
});
