/** Before Linux 4.18 duplicates of a UUID were looked for among the devices of one parent. */
import type { Fault } from "./fault.ts";

export const mdevDuplicateParents: Fault = {
  id: "mdev-duplicate-parents",
  title: "a UUID that a device of another parent has can be used again",
  cites: "002fe996f67f (2018), which made mdev_device_create look through one list of all parents' devices",
  breaks: "mdev-unique",
  shownBy: "mdev-lifecycle",
  apply(k) {
    k.mdev = {
      ...k.mdev,
      namespace: (kernel, parent) => kernel.mdevs.filter((mdev) => mdev.parent === parent),
    };
  },
};
