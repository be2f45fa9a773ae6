/** Invariants over buffers that functions lend. */
import type { Machine } from "../../model/machine.ts";
import type { StateInvariant } from "./invariant.ts";

/** The buffers of every function that has any. */
function* everyBuffer({ k }: Machine) {
  for (const pciFunction of k.functions) for (const buffer of pciFunction.buffers) yield { pciFunction, buffer };
}

export const buffersTakenBack: StateInvariant = {
  kind: "state",
  id: "buffers-taken-back",
  title: "of a buffer that was taken back no page table holds anything",
  broken({ machine }) {
    for (const { pciFunction, buffer } of everyBuffer(machine)) {
      if (!buffer.revoked) continue;
      for (const { revoked } of buffer.importers) {
        if (!revoked) return `a buffer of ${pciFunction.spec.name} was taken back, and is mapped`;
      }
    }
    return undefined;
  },
};

export const buffersAnswer: StateInvariant = {
  kind: "state",
  id: "buffers-answer",
  title: "a buffer is lent only while its function is open and its memory may be used",
  broken({ machine }) {
    const { k } = machine;
    for (const { pciFunction, buffer } of everyBuffer(machine)) {
      const { name } = pciFunction.spec;
      if (!pciFunction.vfio?.openCount) return `${name} is closed, and has a buffer`;
      if (!buffer.revoked && !k.vfioPci.mayLend(k, pciFunction)) return `${name} lends memory that may not be used`;
    }
    return undefined;
  },
};

export const buffersWithinBar: StateInvariant = {
  kind: "state",
  id: "buffers-within-bar",
  title: "a buffer covers nothing beyond its region",
  broken({ machine }) {
    for (const { pciFunction, buffer } of everyBuffer(machine)) {
      const size = BigInt(pciFunction.core?.lendable?.(buffer.region)?.size ?? 0);
      for (const { offset, length } of buffer.ranges) {
        if (offset + length > size)
          return `a buffer of ${pciFunction.spec.name} reaches behind region ${buffer.region}`;
      }
    }
    return undefined;
  },
};
