/** Goals about virtual functions. */
import { ERRNO } from "../../model/uapi/errno.ts";
import type { Goal } from "../coverage.ts";
import { ioctlEnded } from "./ended.ts";
import { CONTAINER } from "./needs.ts";

/** What a number of virtual functions that was written came to. */
function written(id: string, title: string, isIt: (text: string, ret: number) => boolean): Goal {
  return {
    id,
    title,
    needs: {},
    reached(call, { ret }) {
      if (call.op !== "sysfs-write" || call.attribute.kind !== "sriov" || !("text" in call.text)) return false;
      return isIt(call.text.text, ret);
    },
  };
}

export const SRIOV_GOALS: readonly Goal[] = [
  written("vfs-made", "virtual functions were made", (text, ret) => ret > 0 && Number(text) > 0),
  written("vfs-ended", "virtual functions were ended", (text, ret) => ret > 0 && Number(text) === 0),
  written("vfs-busy", "another number was refused", (_text, ret) => ret === -ERRNO.EBUSY),
  ioctlEnded("token-set", "a token was set", "VFIO_DEVICE_FEATURE_PCI_VF_TOKEN", 0),
  ioctlEnded(
    "token-refused",
    "a function was refused for want of its token",
    "VFIO_GROUP_GET_DEVICE_FD",
    "EACCES",
    CONTAINER,
  ),
];
