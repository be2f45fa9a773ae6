/** Linux 5.18: a container claims the DMA of groups that VFIO made up, which no IOMMU stands behind. */
import type { Fault } from "./fault.ts";

export const fakeGroupsOwned: Fault = {
  id: "fake-groups-owned",
  title: "joining a container claims the DMA of emulated groups too, and leaving it never gives that back",
  cites: "a3da1ab6fbea vfio: Do not manipulate iommu dma_owner for fake iommu groups (5.19)",
  breaks: "dma-one-owner",
  shownBy: "emulated-devices",
  apply(k) {
    const right = k.container.attachGroup;
    k.container = {
      ...k.container,
      *attachGroup(kernel, container, group) {
        yield* right(kernel, container, group);
        if (group.type === "emulated" && group.iommuGroup?.ownerCount === 0) {
          yield* kernel.iommu.claimGroup(kernel, group.iommuGroup, group);
        }
      },
    };
  },
};
