/** The last device of a group does not go before the group's file is closed, which nobody may ever do. */
import { Blocked } from "../../model/kernel/operation.ts";
import type { Fault } from "./fault.ts";

export const unbindWaitsForGroup: Fault = {
  id: "unbind-waits-for-group",
  title: "taking the last device of a group away waits until the group's file is closed",
  cites: "3dd59a7dcb97 vfio: Make the group FD disassociate from the iommu_group (6.1)",
  breaks: "hang",
  shownBy: "driver-binding",
  apply(k) {
    const right = k.group.removeDevice;
    k.group = {
      ...k.group,
      *removeDevice(kernel, device) {
        if (device.group.drivers === 1 && device.group.openedFile) throw new Blocked("the group's file to be closed");
        yield* right(kernel, device);
      },
    };
  },
};
