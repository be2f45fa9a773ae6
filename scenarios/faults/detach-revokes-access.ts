/** Detaching a device takes back the access that its file was granted. */
import { DeviceFile } from "../../model/vfio/device.ts";
import type { Fault } from "./fault.ts";

export const detachRevokesAccess: Fault = {
  id: "detach-revokes-access",
  title: "DETACH clears access_granted",
  cites: "seeded",
  breaks: "access-monotone",
  shownBy: "emulated-devices",
  apply(k) {
    const right = k.vfioIommufd.detach;
    k.vfioIommufd = {
      ...k.vfioIommufd,
      *detach(kernel, device) {
        yield* right(kernel, device);
        for (const file of kernel.fds.files) {
          if (file instanceof DeviceFile && file.device === device) file.accessGranted = false;
        }
      },
    };
  },
};
