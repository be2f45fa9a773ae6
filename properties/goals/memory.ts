/** Goals of programs that run out of memory: an allocation that failed, in each of the calls that matter most. */
import type { Call } from "../../model/program.ts";
import type { Goal } from "../coverage.ts";
import { CDEV, CONTAINER, GROUP, IOMMUFD, KVM, MDEV, type Needs } from "./needs.ts";

function ranOut(id: string, what: string, needs: Needs, is: (call: Call) => boolean): Goal {
  return {
    id: `no-memory-${id}`,
    title: `an allocation of ${what} failed`,
    needs,
    reached: (call, { failed }) => failed === true && is(call),
  };
}

const inIoctl = (id: string, request: string, needs: Needs = {}): Goal =>
  ranOut(id, request, needs, (call) => call.op === "ioctl" && call.request === request);

export const MEMORY_GOALS: readonly Goal[] = [
  ranOut("open", "open", {}, ({ op }) => op === "open"),
  inIoctl("ioas-alloc", "IOMMU_IOAS_ALLOC", IOMMUFD),
  inIoctl("ioas-map", "IOMMU_IOAS_MAP", IOMMUFD),
  inIoctl("bind", "VFIO_DEVICE_BIND_IOMMUFD", CDEV),
  inIoctl("attach", "VFIO_DEVICE_ATTACH_IOMMUFD_PT", CDEV),
  inIoctl("get-device-fd", "VFIO_GROUP_GET_DEVICE_FD", GROUP),
  inIoctl("set-container", "VFIO_GROUP_SET_CONTAINER", GROUP),
  inIoctl("set-iommu", "VFIO_SET_IOMMU", CONTAINER),
  inIoctl("map-dma", "VFIO_IOMMU_MAP_DMA", CONTAINER),
  inIoctl("create-vm", "KVM_CREATE_VM", KVM),
  inIoctl("kvm-device", "KVM_CREATE_DEVICE", KVM),
  inIoctl("kvm-file", "KVM_SET_DEVICE_ATTR", KVM),
  ranOut(
    "mdev-create",
    "making a mediated device",
    MDEV,
    (call) => call.op === "sysfs-write" && call.attribute.kind === "mdev-create",
  ),
];
