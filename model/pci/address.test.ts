import { describe, expect, it } from "vitest";
import { parseAddress } from "./address.ts";

describe("PCI addresses", () => {
  it("are taken apart", () => {
    expect(parseAddress("0000:05:00.1")).toEqual({ segment: 0, bus: 5, devfn: 1 });
    expect(parseAddress("0001:ff:1f.7")).toEqual({ segment: 1, bus: 255, devfn: 255 });
    expect(parseAddress("10000:e1:02.0")).toEqual({ segment: 0x10000, bus: 0xe1, devfn: 16 });
  });

  it.each(["", "05:00.1", "0000:05:20.0", "0000:05:00.8", "0000:05:00.1\n"])("%j is none", (text) => {
    expect(() => parseAddress(text)).toThrow("is no PCI address");
  });
});
