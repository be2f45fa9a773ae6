/** The same seed and path give the same program. */
import { expect, test } from "vitest";
import { LockOrder } from "../model/kernel/lock.ts";
import { PROFILES } from "../model/profile.ts";
import { PROPERTIES } from "./all.ts";
import { topologyFor } from "./property.ts";
import { chunkSeed, sampleChunk, sampleOne } from "./sample.ts";

const profile = PROFILES["7.2"];
if (!profile) throw new Error("there is no profile 7.2");

for (const property of PROPERTIES) {
  test(`a program of ${property.id} is had again by its seed and path`, () => {
    const topology = topologyFor(property, profile);
    const machine = () => ({ topology, profile, order: new LockOrder() });
    const seed = chunkSeed(7, property.id, 3);
    const chunk = sampleChunk(property, machine(), seed, () => null, 12);
    for (const path of ["0", "5", "11"]) {
      expect(sampleOne(property, machine(), seed, path, () => null).program).toEqual(chunk[Number(path)]?.program);
    }
  });
}
