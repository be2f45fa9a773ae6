/** Devices of a machine that properties are about. */
import type { Topology } from "../model/topology.ts";
import { times } from "./generate/dice.ts";

/** Mediated devices, those that are there already far more often than those to be made. */
export const mdevs = ({ mdevs }: Topology): string[] =>
  mdevs.flatMap(({ name, standing }) => (standing ? times(6, name) : [name]));
/** Mediated devices that are there already. */
export const standing = ({ mdevs }: Topology): string[] =>
  mdevs.flatMap(({ name, standing }) => (standing ? [name] : []));
/** Serial cards: one that is there, and one to be made. */
export const cards = (topology: Topology): string[] => [
  ...standing(topology).filter((name) => name.startsWith("mtty")),
  ...standing(topology).filter((name) => name.startsWith("mtty")),
  ...topology.mdevs.flatMap(({ name, standing }) => (standing ? [] : [name])).slice(0, 1),
];
/** PCI functions that are there from the start. */
export const functions = ({ functions }: Topology): string[] =>
  functions.flatMap(({ name, physicalFunction }) => (physicalFunction === null ? [name] : []));
/** Functions that can have virtual ones, and those. */
export const physicalAndVirtual = ({ functions }: Topology): string[] =>
  functions.flatMap(({ name, physicalFunction, totalVfs }) => (physicalFunction || totalVfs > 0 ? [name] : []));
