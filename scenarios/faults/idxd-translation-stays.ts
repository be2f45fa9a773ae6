/** What an address led to is kept by the device, and nobody tells it when that is unmapped. */
import type { Translation } from "../../model/mdev/idxd/memory.ts";
import type { Fault } from "./fault.ts";

export const idxdTranslationStays: Fault = {
  id: "idxd-translation-stays",
  title: "a descriptor reaches memory that was unmapped, once another has reached it",
  cites: "seeded",
  breaks: "difference",
  shownBy: "idxd-guests",
  machine: "idxd",
  apply(k) {
    const right = k.idxd.translate;
    const cache = new Map<string, Translation>();
    k.idxd = {
      ...k.idxd,
      translate(kernel, device, pasid, iova) {
        const key = `${device.name} ${pasid.number} ${iova}`;
        const found = right(kernel, device, pasid, iova) ?? cache.get(key);
        if (found) cache.set(key, found);
        return found;
      },
    };
  },
};
