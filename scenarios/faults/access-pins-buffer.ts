/** Accesses pin buffers that drivers share, as if they were memory. */
import type { Fault } from "./fault.ts";

export const accessPinsBuffer: Fault = {
  id: "access-pins-buffer",
  title: "an access pins a dma-buf, which whoever lends it may take back",
  cites: "5f3fc0ad9a41 iommufd: Reject DMABUF pages from the access pin path (7.2)",
  breaks: "difference",
  shownBy: "iommufd-access",
  apply(k) {
    k.iommufdDevice = { ...k.iommufdDevice, staysInPlace: () => true };
  },
};
