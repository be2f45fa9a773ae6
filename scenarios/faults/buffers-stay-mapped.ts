/** Who has a buffer is not told that it is lent no more. */
import type { Fault } from "./fault.ts";

export const buffersStayMapped: Fault = {
  id: "buffers-stay-mapped",
  title: "a buffer that was taken back stays in the page tables that have it",
  cites: "seeded",
  breaks: "buffers-taken-back",
  shownBy: "dma-buffers",
  apply(k) {
    k.vfioPci = {
      ...k.vfioPci,
      *takeBuffersBack(_kernel, { buffers }) {
        for (const buffer of buffers) buffer.revoked = true;
      },
    };
  },
};
