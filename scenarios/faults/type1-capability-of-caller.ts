/** Whether memory is limited is asked of whoever calls, not of who mapped it. */
import type { Fault } from "./fault.ts";

export const type1CapabilityOfCaller: Fault = {
  id: "type1-capability-of-caller",
  title: "pinning for a group that joins asks for CAP_IPC_LOCK again",
  cites: "vfio iommu type1: fix the testing of capability for non-current task",
  breaks: "difference",
  shownBy: "type1",
  apply(k) {
    k.type1 = { ...k.type1, lockCap: (kernel) => kernel.task.credentials.has("CAP_IPC_LOCK") };
  },
};
