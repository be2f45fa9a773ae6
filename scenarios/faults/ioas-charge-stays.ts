/** What counted for the process goes on counting when it is pinned no more. */
import type { Fault } from "./fault.ts";

export const ioasChargeStays: Fault = {
  id: "ioas-charge-stays",
  title: "memory that counts for the process stays counted when it is unmapped",
  cites: "seeded",
  breaks: "references-balance",
  shownBy: "iommufd-areas",
  apply(k) {
    const right = k.ioas.unpinPages;
    k.ioas = {
      ...k.ioas,
      *unpinPages(kernel, pages, user) {
        const before = kernel.mm.lockedPages;
        yield* right(kernel, pages, user);
        kernel.mm.lockedPages = before;
      },
    };
  },
};
