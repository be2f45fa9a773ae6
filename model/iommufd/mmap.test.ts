/** What commands offer to be mapped. */
import { expect, test } from "vitest";
import { MmapOffsets } from "./mmap.ts";

test("an offer gets the lowest place that is free, but never the first page, and is mapped as a whole", () => {
  const offers = new MmapOffsets();
  const [a, b, c] = [{ users: 1 }, { users: 1 }, { users: 1 }];
  expect(offers.alloc(a, 0x2000)).toBe(0x1000);
  expect(offers.alloc(b, 0x2000)).toBe(0x3000);
  offers.free(0x1000);
  expect(offers.alloc(c, 0x3000)).toBe(0x5000);
  expect(offers.alloc(a, 0x1000)).toBe(0x1000);
  expect(offers.ownerOf(0x3000, 0x2000)).toBe(b);
  expect(offers.ownerOf(0x3000, 0x1000)).toBeUndefined();
  expect(offers.ownerOf(0x4000, 0x1000)).toBeUndefined();
});
