/** What Linux 6.2 to 7.2 do: the file that is closed last decides how the device is let go, not how it was opened. */
import type { Fault } from "./fault.ts";

export const closeByLastFile: Fault = {
  id: "close-by-last-file",
  title: "the last close undoes what the closing file's open would have done",
  cites: "none: found by this suite, see the deviation group-changes-backend",
  breaks: "open-is-backed",
  shownBy: "emulated-devices",
  apply(k) {
    k.vfio = {
      ...k.vfio,
      *lastClose(kernel, file) {
        if (file.iommufd) yield* kernel.vfioIommufd.unbind(kernel, file.device);
        else kernel.group.unuseContainer(kernel, file.device.group);
      },
    };
  },
};
