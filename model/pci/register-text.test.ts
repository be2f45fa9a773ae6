import { describe, expect, it } from "vitest";
import { formatRegisters, parseRegisters } from "./register-text.ts";

describe("registers as text", () => {
  it("have runs with their offsets, and counts where a byte comes often", () => {
    const bytes = new Uint8Array(256);
    bytes.set([0x86, 0x80, 0x00, 0x10], 0);
    bytes.fill(0xff, 0x40, 0x100);
    expect(formatRegisters(bytes)).toBe("0:86800010 40:ff*192");
    expect(parseRegisters("0:86800010 40:ff*192", 256)).toEqual(bytes);
  });

  it("come back as they were", () => {
    for (let seed = 1; seed < 40; seed++) {
      const bytes = Uint8Array.from({ length: 96 }, (_, at) => ((at * seed) % 7 < 3 ? 0 : (at >> 4) * seed));
      expect(parseRegisters(formatRegisters(bytes), 96)).toEqual(bytes);
    }
  });

  it("have no other form", () => expect(() => parseRegisters("0:8", 16)).toThrow('"0:8" is no run'));
});
