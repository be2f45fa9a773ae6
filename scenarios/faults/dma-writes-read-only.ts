/** Page tables get entries that can be written whatever a mapping allows. */
import type { Fault } from "./fault.ts";

export const dmaWritesReadOnly: Fault = {
  id: "dma-writes-read-only",
  title: "a device writes to what an IOAS maps to be read only",
  cites: "seeded",
  breaks: "difference",
  shownBy: "edu-dma",
  apply(k) {
    const right = k.ioas.translate;
    k.ioas = {
      ...k.ioas,
      translate(ioas, iova) {
        const to = right(ioas, iova);
        return to && { ...to, writable: true };
      },
    };
  },
};
