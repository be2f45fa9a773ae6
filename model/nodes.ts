/** Device nodes: which are there, and what opening one gives (drivers/base/core.c, and each driver's open). */
import { refuse } from "./kernel/clause.ts";
import type { File } from "./kernel/file.ts";
import type { Kernel } from "./kernel/kernel.ts";
import type { Operation } from "./kernel/operation.ts";
import { rule as vfsRule } from "./kernel/vfs.ts";
import { KvmFile } from "./kvm/kvm.ts";
import type { Node } from "./program.ts";
import { ContainerFile } from "./vfio/container.ts";
import type { VfioDevice } from "./vfio/device.ts";
import type { VfioGroup } from "./vfio/group.ts";

/** The VFIO device that a name of the topology stands for now, or undefined. */
export function vfioDevice(k: Kernel, name: string): VfioDevice | undefined {
  for (const pciFunction of k.functions) if (pciFunction.spec.name === name) return pciFunction.vfio ?? undefined;
  for (const mdev of k.mdevs) if (mdev.name === name) return mdev.vfio ?? undefined;
  return undefined;
}

/** The VFIO group of a device's IOMMU group: there while any member is bound to a VFIO driver. */
export function vfioGroup(k: Kernel, name: string): VfioGroup | undefined {
  if (!k.has("VFIO_GROUP")) return undefined;
  for (const { spec, group } of k.functions)
    if (spec.name === name) return group ? k.group.ofIommuGroup(k, group) : undefined;
  return vfioDevice(k, name)?.group;
}

/** Whether the kernel makes a node for a single device: vfio_device_add. */
export function hasCdev(k: Kernel, { group, registered }: VfioDevice): boolean {
  return registered && k.since("6.6") && k.has("VFIO_DEVICE_CDEV") && group.type !== "noiommu";
}

/** open(2) of a node. */
export function* openNode(k: Kernel, node: Node, flags: number): Operation<File> {
  const mode = flags & 3;
  switch (node.kind) {
    case "container":
      k.alloc();
      if (k.has("VFIO_CONTAINER")) return new ContainerFile(mode);
      if (k.has("IOMMUFD_VFIO_CONTAINER")) return k.iommufd.open(k, mode, "process");
      break;
    case "iommufd":
      if (!k.has("IOMMUFD")) break;
      k.alloc();
      return k.iommufd.open(k, mode, "user");
    case "kvm":
      if (!k.has("KVM") || !k.topology.kvm) break;
      return new KvmFile(mode);
    case "group": {
      const group = vfioGroup(k, node.device);
      if (!group) break;
      return yield* k.group.open(k, group, mode);
    }
    case "wq":
      return yield* k.idxd.openQueue(k, node.queue, mode);
    case "cdev": {
      const device = vfioDevice(k, node.device);
      if (!device || !hasCdev(k, device)) break;
      return k.deviceCdev.open(k, device, mode);
    }
  }
  return refuse(vfsRule["VFS-OPEN-1"]);
}
