/** Buffers of functions as programs see them: the order of checks, and what takes a buffer from who has mapped it. */
import { describe, expect, it } from "vitest";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Call, Fields } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import type { Topology } from "../topology.ts";
import { errnoName } from "../uapi/errno.ts";
import { VARIANT_TOPOLOGY } from "../variant-topology.ts";
import { FEATURE, FEATURE_INDEX } from "../vfio/feature.ts";

const PAGE = 4096;
const CONFIG = 7 * 2 ** 40;

/** A function that is open through its node as `@device`, and an IOAS. */
class Opened {
  readonly machine: Machine;

  constructor(
    readonly device: string,
    topology: Topology = REFERENCE_TOPOLOGY,
  ) {
    const profile = PROFILES["7.2"];
    if (!profile) throw new Error("there is no profile 7.2");
    this.machine = new Machine({ topology, profile });
    this.call({ op: "open", node: { kind: "iommufd" }, as: "@iommufd" });
    this.ioctl("@iommufd", "IOMMU_IOAS_ALLOC", { size: 12 }, { out_ioas_id: "@ioas" });
    this.open();
  }

  open(): void {
    expect(this.call({ op: "open", node: { kind: "cdev", device: this.device }, as: "@device" })).toBeTypeOf("number");
    this.ioctl("@device", "VFIO_DEVICE_BIND_IOMMUFD", { argsz: 16, iommufd: "@iommufd" }, { out_devid: "@devid" });
  }

  call(call: Call): number | string {
    const { ret } = this.machine.step(call);
    return ret < 0 ? errnoName(-ret) : ret;
  }

  ioctl(fd: string, request: string, fields: Fields, binds: Readonly<Record<string, string>> = {}): number | string {
    return this.call({ op: "ioctl", fd, request, arg: { kind: "struct", struct: { fields } }, binds });
  }

  buffer(fields: Fields = {}): number | string {
    const given = { argsz: 72, flags: FEATURE.GET | FEATURE_INDEX.DMA_BUF, nr_ranges: 1, length_0: PAGE, ...fields };
    const struct = { fields: given };
    const request = "VFIO_DEVICE_FEATURE_DMA_BUF";
    return this.call({ op: "ioctl", fd: "@device", request, arg: { kind: "struct", struct }, as: "@dma-buf" });
  }

  map(page: number): number | string {
    const fields = { size: 40, flags: 7, ioas_id: "@ioas", fd: "@dma-buf", length: PAGE, iova: page * PAGE };
    return this.ioctl("@iommufd", "IOMMU_IOAS_MAP_FILE", fields);
  }

  write(at: number, ...bytes: number[]): void {
    expect(this.call({ op: "pwrite", fd: "@device", count: bytes.length, offset: CONFIG + at, bytes })).toBe(
      bytes.length,
    );
  }

  /** Of the mappings, by their pages: whether page tables hold them. */
  held(): Record<string, boolean> {
    const held: Record<string, boolean> = {};
    for (const { objects } of this.machine.k.iommufdContexts) {
      for (const object of objects.values()) {
        if (object.kind !== "ioas") continue;
        for (const { start, pages } of object.pagetable.areas) held[Number(start) / PAGE] = !pages.revoked;
      }
    }
    return held;
  }
}

describe("a buffer is refused", () => {
  const nic = new Opened("nic0.0");
  it.each([
    ["without the header", { argsz: 23 }, "EINVAL"],
    ["without ranges, before the region is looked at", { nr_ranges: 0, region_index: 4 }, "EINVAL"],
    ["for a flag, before argsz is held against the ranges", { dma_buf_flags: 1, nr_ranges: 9 }, "EINVAL"],
    [
      "for ranges that argsz does not cover, before the region is looked at",
      { nr_ranges: 4, region_index: 4 },
      "EINVAL",
    ],
    ["for a BAR that there is not, before ranges are looked at", { region_index: 4, length_0: 1 }, "ENODEV"],
    ["for part of a page", { length_0: 1 }, "EINVAL"],
    ["for I/O ports", { region_index: 2 }, "EINVAL"],
    ["for the end of the address space", { offset_0: (1n << 64n) - 4096n }, "EOVERFLOW"],
    ["for the end of the BAR", { offset_0: 0x2_0000 }, "EINVAL"],
  ] satisfies [string, Fields, string][])("%s", (_why, fields, errno) => {
    expect(nic.buffer(fields)).toBe(errno);
  });
});

describe("a mapping of a buffer", () => {
  it("is given up by what takes memory away for a moment, and stays where memory goes on to answer", () => {
    const nvme = new Opened("rooted0");
    nvme.buffer();
    const reset = (): unknown =>
      nvme.call({ op: "ioctl", fd: "@device", request: "VFIO_DEVICE_RESET", arg: { kind: "value", value: 0 } });
    const ways = [
      { take: () => nvme.write(4, 3), held: true },
      { take: () => nvme.write(4, 1), held: false },
      { take: () => nvme.write(0x64, 0), held: true },
      { take: () => nvme.write(0x64, 3), held: false },
      { take: reset, held: false },
    ];
    for (const [page, { take, held }] of ways.entries()) {
      nvme.write(4, 3);
      nvme.write(0x64, 0);
      expect(nvme.map(page)).toBe(0);
      take();
      expect(nvme.held()[page]).toBe(held);
    }
  });

  it("keeps neither the function from being opened anew nor its driver", () => {
    const edu = new Opened("edu0");
    edu.buffer();
    expect(edu.map(0)).toBe(0);
    edu.call({ op: "close", fd: "@device" });
    expect(edu.held()).toEqual({ 0: false });
    expect(edu.map(1)).toBe("ENODEV");
    const attribute = { kind: "unbind", driver: "vfio-pci" } as const;
    expect(edu.call({ op: "sysfs-write", attribute, text: { device: "edu0" } })).toBeGreaterThan(0);
  });
});

describe("drivers that are built on vfio-pci", () => {
  it("lend memory of a GPU up to its end, which is short of its region's", () => {
    const grace = new Opened("grace0", VARIANT_TOPOLOGY);
    const gib = 2 ** 30;
    expect(grace.buffer({ region_index: 4, length_0: 2 * gib })).toBeTypeOf("number");
    expect(grace.map(0)).toBe(0);
    expect(grace.buffer({ region_index: 4, length_0: 4 * gib })).toBe("EINVAL");
    expect(grace.buffer({ region_index: 5 })).toBe("ENODEV");
    expect(grace.buffer({ region_index: 0 })).toBeTypeOf("number");
  });

  it("have no such feature unless they say so", () => {
    expect(new Opened("mlx5vf0", VARIANT_TOPOLOGY).buffer()).toBe("ENOTTY");
  });
});
