/** Copies of a mapping pin the pages that they share once each. */
import type { Fault } from "./fault.ts";

export const ioasCopiesPinTwice: Fault = {
  id: "ioas-copies-pin-twice",
  title: "a copy pins and counts pages that another mapping has pinned",
  cites: "seeded",
  breaks: "pinned-while-needed",
  shownBy: "mock-tables",
  apply(k) {
    k.ioas = { ...k.ioas, missingPages: (_pages, range) => [range] };
  },
};
