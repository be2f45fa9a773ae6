/** Reading the header that tells of lost events makes room in the queue, though it took none. */
import type { VeventQueue } from "../../model/iommufd/vevent-queue.ts";
import type { Fault } from "./fault.ts";

export const veventqCountDrifts: Fault = {
  id: "veventq-count-drifts",
  title: "a queue of a virtual IOMMU takes an event more than its depth each time that lost ones were told of",
  cites: "076f96d298a0 iommufd: Balance veventq->num_events inc/dec (6.15)",
  breaks: "difference",
  shownBy: "mock-viommus",
  apply(k) {
    const right = k.iommufdDevice;
    const told = new WeakMap<VeventQueue, number>();
    const headers = ({ deliver }: VeventQueue): number => deliver.filter(({ data }) => data === null).length;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      *readVevents(kernel, queue, io) {
        const before = headers(queue);
        const ret = yield* right.readVevents(kernel, queue, io);
        told.set(queue, (told.get(queue) ?? 0) + before - headers(queue));
        return ret;
      },
      hasRoom: (queue) => queue.count - (told.get(queue) ?? 0) < queue.depth,
    };
  },
};
