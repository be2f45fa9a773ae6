/** A buffer is made once and for all, whatever becomes of the memory behind it. */
import type { Fault } from "./fault.ts";

export const buffersStayLent: Fault = {
  id: "buffers-stay-lent",
  title: "a buffer is lent although memory does not answer",
  cites: "seeded",
  breaks: "buffers-answer",
  shownBy: "dma-buffers",
  apply(k) {
    k.vfioPci = { ...k.vfioPci, *takeBuffersBack() {} };
  },
};
