/** What the program's own memory holds. */
import { expect, it } from "vitest";
import { MemoryContent } from "./memory-content.ts";
import { MEMORY, PAGE } from "./memory-map.ts";
import { Unmodelled } from "./operation.ts";

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

it("begins as zeros, and holds what was written, over the end of a page as well", () => {
  const content = new MemoryContent();
  const edge = MEMORY.user + BigInt(PAGE - 2);
  expect(content.read(edge, 4)).toEqual(bytes(0, 0, 0, 0));
  content.write(edge, bytes(1, 2, 3));
  expect(content.read(edge - 1n, 5)).toEqual(bytes(0, 1, 2, 3, 0));
});

it("does not say what a page holds that was written in part, and of no other memory than its own", () => {
  const content = new MemoryContent();
  content.forget(MEMORY.user, 1);
  content.write(MEMORY.user, bytes(1));
  expect(() => content.read(MEMORY.user + 8n, 1)).toThrow(Unmodelled);
  expect(content.read(MEMORY.user + BigInt(PAGE), 1)).toEqual(bytes(0));
  expect(() => content.read(MEMORY.scratch, 1)).toThrow(Unmodelled);
});
