/** A driver that counts its devices itself has counted the new one by the time that it can't be registered. */
import type { Fault } from "./fault.ts";

export const mdevProbeKeepsInstance: Fault = {
  id: "mdev-probe-keeps-instance",
  title: "a mediated device whose driver runs out of memory costs its parent an instance",
  cites: "seeded",
  breaks: "mdev-counted",
  shownBy: "allocation-failures",
  apply(k) {
    const right = k.mdev.probe;
    k.mdev = {
      ...k.mdev,
      *probe(kernel, mdev) {
        const { parent } = mdev;
        const { free } = parent;
        try {
          yield* right(kernel, mdev);
        } catch (refusal) {
          parent.free = free;
          throw refusal;
        }
      },
    };
  },
};
