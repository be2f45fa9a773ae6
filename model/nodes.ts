/** Device nodes: which are there, and what opening one gives (drivers/base/core.c, and each driver's open). */
import { IommufdFile } from "./iommufd/main.ts";
import { refuse } from "./kernel/clause.ts";
import type { File } from "./kernel/file.ts";
import type { Kernel } from "./kernel/kernel.ts";
import type { Operation } from "./kernel/operation.ts";
import { rule as vfsRule } from "./kernel/vfs.ts";
import { KvmFile } from "./kvm/kvm.ts";
import type { Node } from "./program.ts";
import { ContainerFile } from "./vfio/container.ts";
import type { VfioDevice } from "./vfio/device.ts";

/** The VFIO device that a name of the topology stands for now, or undefined. */
export function vfioDevice(k: Kernel, name: string): VfioDevice | undefined {
  for (const pciFunction of k.functions) if (pciFunction.spec.name === name) return pciFunction.vfio ?? undefined;
  for (const mdev of k.mdevs) if (mdev.name === name) return mdev.vfio ?? undefined;
  return undefined;
}

/** Whether the kernel makes nodes for single devices. */
export function hasCdev(k: Kernel): boolean {
  return k.since("6.6") && k.has("VFIO_DEVICE_CDEV");
}

/** open(2) of a node. */
export function* openNode(k: Kernel, node: Node, flags: number): Operation<File> {
  const mode = flags & 3;
  switch (node.kind) {
    case "container":
      if (!k.has("VFIO_CONTAINER")) break;
      return new ContainerFile(mode);
    case "iommufd":
      if (!k.has("IOMMUFD")) break;
      return new IommufdFile(mode);
    case "kvm":
      if (!k.has("KVM") || !k.topology.kvm) break;
      return new KvmFile(mode);
    case "group": {
      const device = vfioDevice(k, node.device);
      if (!device || !k.has("VFIO_GROUP")) break;
      return yield* k.group.open(k, device.group, mode);
    }
    case "cdev": {
      const device = vfioDevice(k, node.device);
      if (!device || !hasCdev(k)) break;
      return k.deviceCdev.open(k, device, mode);
    }
  }
  return refuse(vfsRule["VFS-OPEN-1"]);
}
