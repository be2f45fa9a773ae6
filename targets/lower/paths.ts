/** Where devices, nodes and attributes of a topology are in a real kernel's file systems. */
import { fixedPath } from "../../model/format/attribute-path.ts";
import type { Attribute } from "../../model/program.ts";
import { bridgeAbove, busName, type Topology } from "../../model/topology.ts";

/** Directory of a device of the topology: a function or a mediated device. */
export function devicePath(topology: Topology, device: string): string {
  const bus = topology.functions.some((spec) => spec.name === device) ? "pci" : "mdev";
  return `/sys/bus/${bus}/devices/${busName(topology, device)}`;
}

/** What stands before the number in the path of a device's group. */
export function groupPrefix({ noiommu, functions }: Topology, device: string): string {
  const unisolated = noiommu && functions.some((spec) => spec.name === device && spec.group < 0);
  return unisolated ? "/dev/vfio/noiommu-" : "/dev/vfio/";
}

/** The name of a bridge that there is not. */
const NO_BRIDGE = "none";

/** Path of an attribute. */
export function attributePath(topology: Topology, attribute: Attribute): string {
  switch (attribute.kind) {
    case "driver_override":
      return `${devicePath(topology, attribute.device)}/driver_override`;
    case "sriov":
    case "pci-device":
      return `${devicePath(topology, attribute.device)}/${attribute.file}`;
    case "pci-bridge":
      return `/sys/bus/pci/devices/${bridgeAbove(topology, attribute.device)?.address ?? NO_BRIDGE}/${attribute.file}`;
    case "mdev-remove":
      return `${devicePath(topology, attribute.device)}/remove`;
    case "mdev-vendor":
      return `${devicePath(topology, attribute.device)}/vendor/${attribute.file}`;
    default:
      return fixedPath(attribute);
  }
}

export const KVM_DEBUGFS = "/sys/kernel/debug/kvm";
export const MDEV_DEVICES = "/sys/bus/mdev/devices";

/** Directories in debugfs that stand for one VM each: `<pid>-<fd>`. */
export const VM_DIRECTORY = /^\d+-\d+$/;
