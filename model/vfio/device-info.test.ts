import { describe, expect, it } from "vitest";
import { encodeCapabilities } from "./device-info.ts";

const words = (bytes: Uint8Array): number[] => {
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true));
};

describe("capabilities", () => {
  it("are nothing when there are none", () => {
    expect(encodeCapabilities([], 24)).toHaveLength(0);
  });

  it("end with a next of 0", () => {
    expect(words(encodeCapabilities([{ id: 3, version: 1, words: [] }], 32))).toEqual([0x0001_0003, 0]);
  });

  it("are chained by offsets from the struct's start, each on 8 bytes", () => {
    const chain = encodeCapabilities(
      [
        { id: 2, version: 1, words: [7] },
        { id: 5, version: 2, words: [1, 2] },
      ],
      24,
    );
    expect(words(chain)).toEqual([0x0001_0002, 24 + 16, 7, 0, 0x0002_0005, 0, 1, 2]);
  });
});
