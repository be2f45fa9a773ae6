/** Page tables take with them what an access has pinned. */
import { Area } from "../../model/iommufd/area.ts";
import type { Fault } from "./fault.ts";

export const accessLosesPins: Fault = {
  id: "access-loses-pins",
  title: "when the last page table lets go of a mapping, pages are unpinned that an access has pinned as well",
  cites: "727c28c1cef2 iommufd: Fix unpinning of pages when an access is present (6.3)",
  breaks: "pinned-while-needed",
  shownBy: "iommufd-access",
  apply(k) {
    const right = k.ioas.unpinPages;
    k.ioas = {
      ...k.ioas,
      *unpinPages(kernel, pages, user) {
        const others = user instanceof Area ? pages.users.filter((other) => !(other instanceof Area)) : [];
        for (const other of others) yield* right(kernel, pages, other);
        yield* right(kernel, pages, user);
        pages.users.push(...others);
      },
    };
  },
};
