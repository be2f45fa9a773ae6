/**
 * What a VM was told of it forgets when the VM goes, not when its VFIO device does. The last to hold a VM may be a device
 * that is closed, under the group's lock, which forgetting a group takes as well.
 */
import { runStraight } from "../../model/kernel/operation.ts";
import { GroupFile } from "../../model/vfio/group.ts";
import type { Fault } from "./fault.ts";

export const vmForgetsWhenGone: Fault = {
  id: "vm-forgets-when-gone",
  title: "a VM forgets its groups when it is destroyed, which closing a device can do with the group's lock held",
  cites: "51cdc8bc120e kvm/vfio: Fix potential deadlock on vfio group_lock (6.2)",
  breaks: "no-crash",
  shownBy: "emulated-devices",
  apply(k) {
    const put = k.kvm.put;
    const setKvm = k.kvmVfio.setKvm;
    k.kvm = {
      ...k.kvm,
      put(kernel, vm) {
        const { vfio } = vm;
        put(kernel, vm);
        if (vm.refs > 0 || !vfio) return;
        while (vfio.files.length > 0) runStraight(kernel.kvmVfio.free(kernel, vfio, 0));
      },
    };
    k.kvmVfio = {
      ...k.kvmVfio,
      *release(kernel, kv) {
        kernel.kvm.put(kernel, kv.vm);
      },
      *setKvm(kernel, file, vm) {
        if (file instanceof GroupFile) {
          using _ = yield* kernel.lock(file.group.groupLock);
        }
        yield* setKvm(kernel, file, vm);
      },
    };
  },
};
