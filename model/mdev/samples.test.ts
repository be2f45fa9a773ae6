import { describe, expect, it } from "vitest";
import { rule as deviceRule } from "../vfio/device-info.ts";
import { parseUuid } from "./mdev.ts";
import { frameBufferSize, mdpyRegion } from "./mdpy.ts";
import { mttyRegion } from "./mtty.ts";

const MIB = 2 ** 20;
const noSuchRegion = deviceRule["VFIO-DEV-REGION-3"].refusal;

/** What a call throws, since a refusal is no Error. */
function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (thrown) {
    return thrown;
  }
  return undefined;
}

describe("mtty's regions", () => {
  it("are one of 8 bytes for each port", () => {
    expect([0, 1, 2].map((index) => mttyRegion(index, 1).size)).toEqual([8, 0, 0]);
    expect([0, 1, 2].map((index) => mttyRegion(index, 2).size)).toEqual([8, 8, 0]);
  });

  it("lie 2^40 bytes apart", () => {
    expect(mttyRegion(7, 1)).toMatchObject({ size: 0xff, offset: 7 * 2 ** 40, flags: 3 });
  });

  it("are nine", () => {
    expect(mttyRegion(8, 1).size).toBe(0);
    expect(thrownBy(() => mttyRegion(9, 1))).toBe(noSuchRegion);
  });
});

describe("mdpy's regions", () => {
  it("show the frame buffer twice", () => {
    expect(mdpyRegion(16, 2 * MIB)).toEqual(mdpyRegion(0, 2 * MIB));
    expect(mdpyRegion(0, 2 * MIB)).toMatchObject({ size: 2 * MIB, offset: 4096, flags: 7 });
  });

  it("have no offset where they have no size", () => {
    expect(mdpyRegion(8, 2 * MIB)).toMatchObject({ size: 0, offset: 0, flags: 0 });
    for (const index of [9, 15, 17]) expect(thrownBy(() => mdpyRegion(index, 2 * MIB))).toBe(noSuchRegion);
  });

  it("grow with the screen", () => {
    expect(frameBufferSize(640, 480)).toBe(2 * MIB);
    expect(frameBufferSize(1024, 768)).toBe(4 * MIB);
    expect(frameBufferSize(1920, 1080)).toBe(8 * MIB);
  });
});

describe("a UUID", () => {
  it("is read in any case, whatever follows", () => {
    const uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
    expect(parseUuid(uuid)).toBe(uuid);
    expect(parseUuid(`${uuid.toUpperCase()}\n`)).toBe(uuid);
  });

  it.each([
    "",
    "83b8f4f2-509f-382f-3c1e-e6bfe0fa100",
    "83b8f4f2509f-382f-3c1e-e6bfe0fa10011",
    "g3b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
  ])("is not %j", (text) => {
    expect(parseUuid(text)).toBeNull();
  });
});
