/** A device reserves ranges although something is mapped there. */
import type { Fault } from "./fault.ts";

export const ioasReservesMapped: Fault = {
  id: "ioas-reserves-mapped",
  title: "a device is attached to an IOAS with a mapping in a range that it reserves",
  cites: "seeded",
  breaks: "areas-in-reach",
  shownBy: "iommufd-mock",
  apply(k) {
    k.ioas = {
      ...k.ioas,
      reserveRange(pagetable, { start, last }, owner) {
        pagetable.reserve(start, last, owner);
      },
    };
  },
};
