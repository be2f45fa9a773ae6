/** Linux 6.2 and 6.3: attaching to a page table by its own id lists it with its IOAS once more. */
import type { Fault } from "./fault.ts";

export const hwptListedTwice: Fault = {
  id: "hwpt-listed-twice",
  title: "a page table that a device is attached to by its id is added to its IOAS again, and stays there when it goes",
  cites: "b4ff830eca09 iommufd: Do not add the same hwpt to the ioas->hwpt_list twice (6.4)",
  breaks: "difference",
  shownBy: "pci-functions",
  apply(k) {
    const right = k.iommufdDevice.attachHwpt;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      *attachHwpt(kernel, device, hwpt, pasid) {
        const left = yield* right(kernel, device, hwpt, pasid);
        if (hwpt.id !== 0) hwpt.paging.ioas.hwpts.push(hwpt.paging);
        return left;
      },
    };
  },
};
