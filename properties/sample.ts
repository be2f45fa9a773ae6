/** Programs by the number: the same property, machine, seed and path give the same program, today and on replay. */
import * as fc from "fast-check";
import type { MachineOptions } from "../model/machine.ts";
import { ProgramArbitrary, type WatchedProgram } from "./arbitrary.ts";
import type { Property } from "./property.ts";
import type { Watch } from "./watch.ts";

/** Programs that are generated in one go. */
export const CHUNK = 64;

/** Programs `0..count` of a seed. Program `i` is what fast-check replays with `{ seed, path: "i" }`. */
export function sampleChunk(
  property: Property,
  options: MachineOptions,
  seed: number,
  newWatch: () => Watch | null,
  count: number = CHUNK,
): WatchedProgram[] {
  return fc.sample(arbitraryOf(property, options, newWatch), { seed, numRuns: count });
}

/** One program by its seed and path. */
export function sampleOne(
  property: Property,
  options: MachineOptions,
  seed: number,
  path: string,
  newWatch: () => Watch | null,
): WatchedProgram {
  const [first] = fc.sample(arbitraryOf(property, options, newWatch), { seed, path, numRuns: 1 });
  if (!first) throw new Error("fast-check gave no program");
  return first;
}

/** The arbitrary of a property's programs on a machine. */
export function arbitraryOf(
  property: Property,
  options: MachineOptions,
  newWatch: () => Watch | null,
): ProgramArbitrary {
  return new ProgramArbitrary(property.focus(options.topology), options, property, newWatch);
}

/** The seed of a property's chunk in a campaign: a 32-bit mix, so that neighbours have nothing in common. */
export function chunkSeed(seed: number, propertyId: string, chunk: number): number {
  let hash = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b);
  for (let i = 0; i < propertyId.length; i++) hash = Math.imul(hash ^ propertyId.charCodeAt(i), 0x0100_0193);
  hash = Math.imul(hash ^ (chunk + 0x7f4a_7c15), 0xc2b2_ae35);
  return (hash ^ (hash >>> 15)) | 0;
}
