/** The same seed and path give the same program. */
import { expect, test } from "vitest";
import { LockOrder } from "../model/kernel/lock.ts";
import { PROFILES } from "../model/profile.ts";
import { IDXD_TOPOLOGY, REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { PROPERTIES } from "./all.ts";
import type { Property } from "./property.ts";
import { chunkSeed, sampleChunk, sampleOne } from "./sample.ts";

const profile = PROFILES["7.2"];
if (!profile) throw new Error("there is no profile 7.2");
/** The first of these machines that has devices which the property is about. */
const machine = (property: Property) => {
  const topology = [REFERENCE_TOPOLOGY, IDXD_TOPOLOGY].find((each) => property.focus(each).devices.length > 0);
  if (!topology) throw new Error(`no machine has what ${property.id} is about`);
  return { topology, profile, order: new LockOrder() };
};

for (const property of PROPERTIES) {
  test(`a program of ${property.id} is had again by its seed and path`, () => {
    const seed = chunkSeed(7, property.id, 3);
    const chunk = sampleChunk(property, machine(property), seed, () => null, 12);
    for (const path of ["0", "5", "11"]) {
      expect(sampleOne(property, machine(property), seed, path, () => null).program).toEqual(
        chunk[Number(path)]?.program,
      );
    }
  });
}
