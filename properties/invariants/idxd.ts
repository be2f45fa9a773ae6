/**
 * Invariants over the host's work queues and the guests that have them: the line that the discussion of idxd's series drew between a
 * device for guests, a char device for programs and the kernel's own use.
 */
import { DRIVER_OF } from "../../model/mdev/idxd/host.ts";
import { REG, WQ_CONTROL, WQ_WORD } from "../../model/mdev/idxd/registers.ts";
import type { VirtualDsa } from "../../model/mdev/idxd/virtual-device.ts";
import type { StateInvariant } from "./invariant.ts";

export const queueOneOwner: StateInvariant = {
  kind: "state",
  id: "idxd-one-owner",
  title:
    "a work queue has one owner, the kernel, programs or guests; a dedicated one has one user, and one without owner has none",
  broken({ machine: { k } }) {
    if (!k.accelerator) return undefined;
    for (const { spec, type, driver, instances, files, dedicated, running } of k.accelerator.queues) {
      const { name } = spec;
      if (driver === null && running) return `${name} runs, and nobody has it`;
      if (driver !== null && driver !== DRIVER_OF[type]) return `${name} is of type ${type}, and ${driver} has it`;
      if (instances.length > 0 && driver !== "mdev") return `a guest uses ${name}, which is not for guests`;
      if (files > 0 && driver !== "user") return `a program uses ${name}, which is not for programs`;
      if (dedicated && instances.length + files > 1) return `${name} is dedicated to several users`;
    }
    return undefined;
  },
};

/** The first virtual accelerator that something is wrong with. */
function brokenDevice(view: Parameters<StateInvariant["broken"]>[0], what: (device: VirtualDsa) => string | undefined) {
  const { accelerator } = view.machine.k;
  if (!accelerator) return undefined;
  for (const { instances } of accelerator.queues) {
    for (const device of instances) {
      const broken = what(device);
      if (broken !== undefined) return broken;
    }
  }
  return undefined;
}

export const portalsOwn: StateInvariant = {
  kind: "state",
  id: "idxd-portal-own",
  title:
    "a guest has one page of the portals of its own queue mapped at a time, the unlimited one where nobody shares that",
  broken: (view) =>
    brokenDevice(view, ({ portals, queue }) => {
      for (const portal of portals) {
        if (portal.queue !== queue) return `a guest of ${queue.spec.name} has a portal of ${portal.queue.spec.name}`;
        if (portal.pages !== 1)
          return `a guest of ${queue.spec.name} has ${portal.pages} pages mapped, behind its portal those of others`;
        if (!portal.limited && !queue.dedicated)
          return `a guest has the unlimited portal of ${queue.spec.name}, which others share`;
      }
      return undefined;
    }),
};

/** Bits of the word that controls a queue which are the host's. */
const HOST_CONTROL = WQ_CONTROL.DEDICATED | (0xf << WQ_CONTROL.PRIORITY_SHIFT);

export const limitsKept: StateInvariant = {
  kind: "state",
  id: "idxd-limits",
  title:
    "no guest has more of its queue than the host gave: size, threshold, mode, priority, limits, blocking on faults",
  broken: (view) =>
    brokenDevice(view, ({ queue, registers }) => {
      const word = (at: number): number => registers.getUint32(REG.WQCFG + at, true);
      const { name, size, priority, maxTransferShift, maxBatchShift } = queue.spec;
      const control = (queue.dedicated ? WQ_CONTROL.DEDICATED : 0) | (priority << WQ_CONTROL.PRIORITY_SHIFT);
      if (word(WQ_WORD.SIZE) !== size) return `a guest has changed the size of ${name}`;
      if (word(WQ_WORD.THRESHOLD) !== queue.threshold) return `a guest has changed the threshold of ${name}`;
      if (word(WQ_WORD.LIMITS) !== (maxTransferShift | (maxBatchShift << 5)))
        return `a guest has changed the limits of ${name}`;
      if ((word(WQ_WORD.CONTROL) & HOST_CONTROL) !== control) return `a guest has changed mode or priority of ${name}`;
      if (word(WQ_WORD.CONTROL) & WQ_CONTROL.BLOCK_ON_FAULT && !queue.blockOnFault) {
        return `${name} blocks on faults for a guest, and the host does not let it`;
      }
      return undefined;
    }),
};

export const pasidsOwn: StateInvariant = {
  kind: "state",
  id: "idxd-pasid-own",
  title:
    "a dedicated queue that runs for a guest is programmed with the host's PASID for the one that the guest has set",
  broken: (view) =>
    brokenDevice(view, (device) => {
      const { queue, registers } = device;
      if (!queue.dedicated || !queue.running) return undefined;
      const { name } = queue.spec;
      const control = registers.getUint32(REG.WQCFG + WQ_WORD.CONTROL, true);
      const set = control & WQ_CONTROL.PASID_ENABLE ? (control & WQ_CONTROL.PASID_MASK) >>> WQ_CONTROL.PASID_SHIFT : 0;
      if (!queue.pasid) return `${name} runs for a guest without a PASID`;
      if (queue.pasid.owner !== device) return `${name} runs for a guest with a PASID of another's`;
      if ((queue.pasid.guest ?? 0) !== set)
        return `${name} runs with PASID ${queue.pasid.guest ?? 0}, and its guest has set ${set}`;
      return undefined;
    }),
};
