/** A page table that was refused in the end still uses what it was to be made from. */
import type { Fault } from "./fault.ts";

export const hwptRefusedKeepsIoas: Fault = {
  id: "hwpt-refused-keeps-ioas",
  title: "the IOAS of a page table that was refused can not be destroyed any more",
  cites: "seeded",
  breaks: "refused-no-trace",
  shownBy: "iommufd-objects",
  apply(k) {
    const right = k.iommufdDevice.letGo;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      letGo(hwpt) {
        if (hwpt.id !== 0) right(hwpt);
      },
    };
  },
};
