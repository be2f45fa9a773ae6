/** Page tables keep what they hold of a buffer that was taken back. */
import type { Fault } from "./fault.ts";

export const revokedStaysDirty: Fault = {
  id: "revoked-stays-dirty",
  title: "what was written to a dma-buf before it was taken back is told afterwards",
  cites: "seeded",
  breaks: "difference",
  shownBy: "mock-tables",
  apply(k) {
    k.ioas = { ...k.ioas, giveUp: () => {} };
  },
};
