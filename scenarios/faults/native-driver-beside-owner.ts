/** A driver of the kernel binds whoever owns the group: what its device does goes where a user has led it. */
import type { Fault } from "./fault.ts";

export const nativeDriverBesideOwner: Fault = {
  id: "native-driver-beside-owner",
  title: "a driver that does DMA for the kernel binds to a device whose group user space owns",
  cites: "1ea2a07a532b, iommu: Add DMA ownership management interfaces (5.19)",
  breaks: "dma-one-owner",
  shownBy: "driver-binding",
  apply(k) {
    k.iommu = {
      ...k.iommu,
      *useDefaultDomain(kernel, group) {
        using _ = yield* kernel.lock(group.mutex);
        group.ownerCount++;
      },
    };
  },
};
