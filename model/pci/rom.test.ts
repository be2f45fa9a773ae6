import { describe, expect, it } from "vitest";
import { imagesSize, makeRom, ROM_SIZE } from "./rom.ts";

describe("a ROM", () => {
  const rom = makeRom(0x8086, 0x100e);

  it("ends with its last image, which is before its BAR does", () => {
    expect(rom).toHaveLength(ROM_SIZE);
    expect(imagesSize(rom)).toBe(5 * 512);
  });

  it("has no image without its signatures", () => {
    expect(imagesSize(rom.with(0, 0))).toBe(0);
    expect(imagesSize(rom.with(0x1c, 0))).toBe(0);
  });

  it("ends before an image that is none", () => {
    expect(imagesSize(rom.with(3 * 512, 0))).toBe(3 * 512);
    expect(imagesSize(rom.with(0x1c + 0x15, 0x80))).toBe(3 * 512);
  });

  it("is no longer than its window", () => expect(imagesSize(rom.subarray(0, 2048))).toBe(2048));
});
