/** A mapping at a fixed address goes on top of what is mapped there. */
import type { Fault } from "./fault.ts";

export const ioasOverlap: Fault = {
  id: "ioas-overlap",
  title: "a fixed mapping only asks whether its first byte is free",
  cites: "seeded",
  breaks: "areas-apart",
  shownBy: "iommufd-areas",
  apply(k) {
    const right = k.ioas.checkIova;
    k.ioas = { ...k.ioas, checkIova: (pagetable, _length, iova) => right(pagetable, 1n, iova) };
  },
};
