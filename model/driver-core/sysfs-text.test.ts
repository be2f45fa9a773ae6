import { describe, expect, it } from "vitest";
import { cString, names, parseUnsigned, scanHexadecimal, taken } from "./sysfs-text.ts";

describe("text written to sysfs", () => {
  it("names a device exactly, but for one newline", () => {
    expect(names("0000:00:03.0", "0000:00:03.0")).toBe(true);
    expect(names("0000:00:03.0\n", "0000:00:03.0")).toBe(true);
    expect(names("0000:00:03.0\0rest", "0000:00:03.0")).toBe(true);
    expect(names("0000:00:03.0\n\n", "0000:00:03.0")).toBe(false);
    expect(names(" 0000:00:03.0", "0000:00:03.0")).toBe(false);
    expect(names("0000:00:03", "0000:00:03.0")).toBe(false);
  });

  it("is cut at a page, and as a string at its NUL", () => {
    expect(taken("x".repeat(5000))).toHaveLength(4096);
    expect(cString("vfio\0pci")).toBe("vfio");
  });

  it("is a number in any base that its prefix tells", () => {
    expect(parseUnsigned("1")).toBe(1n);
    expect(parseUnsigned("+10\n")).toBe(10n);
    expect(parseUnsigned("0x1F")).toBe(31n);
    expect(parseUnsigned("010")).toBe(8n);
    expect(parseUnsigned("0")).toBe(0n);
    expect(parseUnsigned("00\n")).toBe(0n);
    expect(parseUnsigned("18446744073709551615")).toBe(2n ** 64n - 1n);
  });

  it("begins with hexadecimal numbers", () => {
    expect(scanHexadecimal("8086 10d3", 7)).toEqual([0x8086n, 0x10d3n]);
    expect(scanHexadecimal(" 0x8086\n0X10D3\n", 7)).toEqual([0x8086n, 0x10d3n]);
    expect(scanHexadecimal("1 2 3", 2)).toEqual([1n, 2n]);
    expect(scanHexadecimal("80,86", 7)).toEqual([0x80n]);
    expect(scanHexadecimal("12 0x", 7)).toEqual([0x12n, 0n]);
    expect(scanHexadecimal("12\0 34", 7)).toEqual([0x12n]);
    expect(scanHexadecimal("-1 2", 7)).toEqual([]);
  });

  it.each(["", "\n", "yes", "-1", " 1", "1 ", "08", "0x", "1\n\n", "18446744073709551616"])(
    "%j is no number",
    (text) => {
      expect(parseUnsigned(text)).toBeNull();
    },
  );
});
