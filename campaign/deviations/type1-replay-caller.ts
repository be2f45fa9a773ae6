/** A group joins a container by the hand of another process than the one that mapped its memory. */
import type { Deviation } from "./deviation.ts";

export const type1ReplayCaller: Deviation = {
  id: "type1-replay-caller",
  title:
    "VFIO_GROUP_SET_CONTAINER and VFIO_SET_IOMMU pin memory of their caller for what another process has mapped: devices reach the caller's",
  clause: "VFIO-TYPE1-ATTACH-5",
  since: "6.1",
  source: "drivers/vfio/vfio_iommu_type1.c:vfio_pin_pages_remote",
  upstream: "searched, none found",
  evidence: "type1-replay-caller",
  apply(k, fired) {
    const { roomFor } = k.type1;
    k.type1 = {
      ...k.type1,
      memoryOf(kernel, dma) {
        if (kernel.mm !== dma.owner.mm) fired();
        return kernel.mm;
      },
      // Both are asked: the caller when its memory is pinned, and then whom it counts for.
      roomFor(kernel, dma) {
        const caller = kernel.task.credentials.memlockPages - kernel.mm.lockedPages;
        return dma.lockCap ? Number.POSITIVE_INFINITY : Math.min(caller, roomFor(kernel, dma));
      },
    };
  },
};
