/** Goals about guests of idxd and the host's queues. */
import { DESCRIPTOR } from "../../model/mdev/idxd/descriptor.ts";
import type { Call } from "../../model/program.ts";
import { REGION_SIZE } from "../../model/vfio/device-info.ts";
import type { Goal } from "../coverage.ts";
import { ioctlEnded, moved, some } from "./ended.ts";
import { CDEV, MIGRATION } from "./needs.ts";

const PORTALS = 2 * REGION_SIZE;

const submits = (call: Call): boolean =>
  call.op === "pwrite" && call.count === DESCRIPTOR && typeof call.offset === "number" && call.offset >= PORTALS;

export const descriptorSubmitted: Goal = {
  id: "descriptor",
  title: "a descriptor was submitted",
  reached: (call, { ret }) => submits(call) && ret === DESCRIPTOR,
};
export const descriptorRefused: Goal = {
  id: "descriptor-refused",
  title: "a descriptor was not taken",
  reached: (call, { ret }) => submits(call) && ret < 0,
};
export const portalMapped = moved("portal-map", "a portal was mapped", ["mmap"], "device", some);
export const portalRefused = moved(
  "portal-refused",
  "no more than a portal was mapped",
  ["mmap"],
  "device",
  (ret) => ret < 0,
);
export const vectorsSet = ioctlEnded("vectors", "vectors were set, or raised", "VFIO_DEVICE_SET_IRQS", 0);
export const completionSeen = moved("completion", "an interrupt was counted", ["read"], "eventfd", some);
export const writesLogged = ioctlEnded(
  "dma-report",
  "what descriptors wrote was reported",
  "VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT",
  0,
  MIGRATION,
);
export const guestPasidAttached: Goal = {
  id: "guest-pasid",
  title: "a guest was given a PASID",
  needs: { ...CDEV, since: "6.15" },
  reached: (call, { ret }) =>
    call.op === "ioctl" &&
    call.request === "VFIO_DEVICE_ATTACH_IOMMUFD_PT" &&
    call.arg.kind === "struct" &&
    call.arg.struct.fields["flags"] === 1 &&
    ret === 0,
};

function queueWrite(
  id: string,
  title: string,
  file: "bind" | "unbind" | "type",
  ended: (ret: number) => boolean,
): Goal {
  return {
    id,
    title,
    reached: (call, { ret }) =>
      call.op === "sysfs-write" &&
      (call.attribute.kind === "wq" || call.attribute.kind === "wq-driver") &&
      call.attribute.file === file &&
      ended(ret),
  };
}

export const queueGiven = queueWrite("queue-bind", "a queue was given to a driver", "bind", some);
export const queueTaken = queueWrite("queue-unbind", "a queue was taken from its driver", "unbind", some);
export const queueKept = queueWrite(
  "queue-busy",
  "a queue that has a driver was not made another's",
  "type",
  (ret) => ret < 0,
);
