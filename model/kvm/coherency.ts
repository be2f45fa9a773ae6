/**
 * Whether the DMA of the files that a VM was told of goes through the caches: a VM is told once where it does not, so that
 * its guest may flush them. Beside virt/kvm/vfio.c:kvm_vfio_update_coherency. Nothing of it can be seen from user space.
 */
import { clauses } from "../kernel/clause.ts";
import type { File } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { DeviceFile } from "../vfio/device.ts";
import { GroupFile } from "../vfio/group.ts";
import type { KvmVfio } from "./vfio.ts";

export const rule = clauses({
  "KVM-VFIO-COHERENT-1": {
    rule: "a VM knows of noncoherent DMA while one of its files can do such, a mediated device's among them",
    source: "virt/kvm/vfio.c:kvm_vfio_update_coherency",
    observable: "internal",
  },
});

export const coherencySteps = {
  /** kvm_vfio_update_coherency. Before 6.6 the caller has dropped kv->lock, and it is taken again. */
  *updateCoherency(k: Kernel, kv: KvmVfio): Operation<void> {
    if (k.since("6.6")) {
      yield* k.kvmVfio.countNoncoherent(k, kv);
    } else {
      using _ = yield* k.lock(kv.lock);
      yield* k.kvmVfio.countNoncoherent(k, kv);
    }
  },

  *countNoncoherent(k: Kernel, kv: KvmVfio): Operation<void> {
    let noncoherent = false;
    for (const file of kv.files) {
      if (yield* k.kvmVfio.enforcesCoherency(k, file)) continue;
      noncoherent = true;
      break;
    }
    if (noncoherent !== kv.noncoherent) kv.vm.noncoherentDma += noncoherent ? 1 : -1;
    kv.noncoherent = noncoherent;
    if (noncoherent) k.keeps(rule["KVM-VFIO-COHERENT-1"]);
  },

  /**
   * vfio_file_enforced_coherent: whether an IOMMU makes all DMA of the file's devices coherent, whatever they ask for. No
   * IOMMU stands behind a mediated device, and the emulated one behind functions can't. 6.1 asks the container instead.
   */
  *enforcesCoherency(k: Kernel, file: File): Operation<boolean> {
    if (file instanceof DeviceFile) return false;
    if (!(file instanceof GroupFile)) return true;
    const { group } = file;
    if (k.since("6.2")) {
      using _ = yield* k.lock(group.deviceLock);
      return group.devices.length === 0;
    }
    using _ = yield* k.lock(group.groupLock);
    if (!group.container) return true;
    return group.container.iommu !== null && group.container.groups.every(({ type }) => type === "emulated");
  },
};
