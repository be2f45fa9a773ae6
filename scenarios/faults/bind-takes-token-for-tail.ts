/** BIND takes the size of the old struct for that of the kernel's: the token's address is a tail that must be zero. */
import { checkZeroTail } from "../../model/kernel/user-memory.ts";
import { rule } from "../../model/vfio/device-cdev.ts";
import type { Fault } from "./fault.ts";

/** sizeof(struct vfio_device_bind_iommufd) without token_uuid_ptr */
const OLD_SIZE = 16;

export const bindTakesTokenForTail: Fault = {
  id: "bind-takes-token-for-tail",
  title: "BIND refuses a token's address as a field that it does not know",
  cites: "2f03f21fe751 vfio: Fix ksize arg while copying user struct in vfio_df_ioctl_bind_iommufd() (6.19)",
  breaks: "difference",
  shownBy: "emulated-devices",
  apply(k) {
    const right = k.deviceCdev.bindHeader;
    k.deviceCdev = {
      ...k.deviceCdev,
      bindHeader(kernel, block) {
        const size = right(kernel, block);
        checkZeroTail(block, OLD_SIZE, size, rule["VFIO-CDEV-BIND-1"], rule["VFIO-CDEV-BIND-3"]);
        return size;
      },
    };
  },
};
