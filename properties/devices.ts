/** Devices of a machine that properties are about. */
import type { FunctionTraits } from "../model/pci/traits.ts";
import type { Topology } from "../model/topology.ts";
import { times } from "./generate/dice.ts";

/** Mediated devices of the samples, those that are there already far more often than those to be made. */
export const mdevs = ({ mdevs, workQueues }: Topology): string[] =>
  workQueues ? [] : mdevs.flatMap(({ name, standing }) => (standing ? times(6, name) : [name]));
/** Mediated devices that are there already. */
export const standing = ({ mdevs }: Topology): string[] =>
  mdevs.flatMap(({ name, standing }) => (standing ? [name] : []));
/** Serial cards: one that is there, and one to be made. */
export const cards = (topology: Topology): string[] => [
  ...standing(topology).filter((name) => name.startsWith("mtty")),
  ...standing(topology).filter((name) => name.startsWith("mtty")),
  ...mdevs(topology)
    .filter((name) => !standing(topology).includes(name))
    .slice(0, 1),
];
/** Functions that can have virtual ones, and those. */
export const physicalAndVirtual = ({ functions }: Topology): string[] =>
  functions.flatMap(({ name, physicalFunction, totalVfs }) => (physicalFunction || totalVfs > 0 ? [name] : []));
/** Virtual accelerators, which programs make. */
export const virtualDsas = ({ mdevs, workQueues }: Topology): string[] =>
  workQueues ? mdevs.map(({ name }) => name) : [];
/** PCI functions that are there from the start, vfio-pci is made for, and that have nothing of their own besides. */
export const functions = (topology: Topology): string[] =>
  topology.functions.flatMap(({ name, traits, physicalFunction }) =>
    traits || physicalFunction !== null ? [] : [name],
  );
/** PCI functions of one kind that has a driver, or more to show, of its own. */
export const variants =
  (kind: FunctionTraits["kind"]) =>
  (topology: Topology): string[] =>
    topology.functions.flatMap(({ name, traits }) => (traits?.kind === kind ? [name] : []));
