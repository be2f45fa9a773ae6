/**
 * The inversion that vfio-ap brought: open_device takes kvm->lock under dev_set->lock, while the release of kvm-vfio takes
 * the group's lock under kvm->lock.
 */
import { GroupFile } from "../../model/vfio/group.ts";
import type { Fault } from "./fault.ts";

export const kvmLockUnderDevSet: Fault = {
  id: "kvm-lock-under-dev-set",
  title: "opening a device takes kvm->lock, forgetting a file takes group_lock under it",
  cites: "2b48f52f2bff vfio: fix deadlock between group lock and kvm lock",
  breaks: "lock-order",
  shownBy: "emulated-devices",
  apply(k) {
    const firstOpen = k.vfio.firstOpen;
    const setKvm = k.kvmVfio.setKvm;
    k.vfio = {
      ...k.vfio,
      *firstOpen(kernel, file) {
        yield* firstOpen(kernel, file);
        if (file.device.kvm) {
          using _ = yield* kernel.lock(file.device.kvm.lock);
        }
      },
    };
    k.kvmVfio = {
      ...k.kvmVfio,
      *setKvm(kernel, file, vm) {
        if (file instanceof GroupFile) {
          using _ = yield* kernel.lock(file.group.groupLock);
        }
        yield* setKvm(kernel, file, vm);
      },
    };
  },
};
