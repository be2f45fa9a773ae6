/** Properties about the ways to a device, and who shares or keeps it. */
import { FEW_OBJECTS, NO_RESETS, property } from "../define.ts";
import { functions, mdevs, standing } from "../devices.ts";
import { IRQFD_MOTIFS } from "../generate/irqfd-motifs.ts";
import { KVM_MOTIFS } from "../generate/kvm-motifs.ts";
import { LEAVING_MOTIFS } from "../generate/leaving.ts";
import { BINDING_MOTIFS, FUNCTION_MOTIFS } from "../generate/pair-motifs.ts";
import { IRQFD_GOALS } from "../goals/irqfd.ts";
import { IRQ_GOALS } from "../goals/irqs.ts";
import {
  kvmFileAdded,
  kvmFileTwice,
  kvmFileUnknown,
  kvmNoVfioFile,
  kvmSecondDevice,
  kvmVmOutlives,
} from "../goals/kvm.ts";
import { LEAVING_GOALS } from "../goals/leaving.ts";
import { mdevCreated, mdevRemoved } from "../goals/mdevs.ts";
import {
  attached,
  bindGroupOpen,
  bound,
  containerBackend,
  deviceThroughGroup,
  groupBusyByCdev,
  hotResetDone,
  hotResetRefused,
  noiommuBackend,
  noiommuMixed,
  rebound,
} from "../goals/vfio.ts";

export const emulatedDevices = property({
  id: "emulated-devices",
  title: "mediated devices through groups, containers, iommufds and their own nodes answer as they must",
  devices: (topology) => [...mdevs(topology), ...functions(topology).slice(0, 1)],
  ioctls: { ...NO_RESETS, VFIO_GROUP_GET_DEVICE_FD: 1.5 },
  share: 5,
  goals: [
    containerBackend,
    deviceThroughGroup,
    bound,
    bindGroupOpen,
    attached,
    kvmFileAdded,
    mdevCreated,
    mdevRemoved,
    groupBusyByCdev,
  ],
});

export const pciFunctions = property({
  id: "pci-functions",
  functionsBehind: "iommu",
  title: "PCI functions bound to vfio-pci: opening, sharing groups, attaching, interrupts",
  motifs: FUNCTION_MOTIFS,
  devices: functions,
  weights: { credentials: 1, io: 6 },
  ioctls: {
    VFIO_DEVICE_GET_IRQ_INFO: 2,
    VFIO_DEVICE_SET_IRQS: 14,
    VFIO_DEVICE_RESET: 0.2,
    VFIO_DEVICE_PCI_HOT_RESET: 0.5,
    VFIO_DEVICE_FEATURE: 0.5,
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY: 0.5,
    VFIO_DEVICE_FEATURE_LOW_POWER_EXIT: 0.3,
  },
  share: 1,
  goals: [deviceThroughGroup, bound, attached, ...IRQ_GOALS],
});

export const hotReset = property({
  id: "hot-reset",
  functionsBehind: "iommu",
  title: "hot resets: what they hit, and who may do them",
  devices: (topology) =>
    functions(topology).filter((name) => topology.functions.find((spec) => spec.name === name)?.resetScope),
  ioctls: { VFIO_DEVICE_PCI_HOT_RESET: 6, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: 3, VFIO_DEVICE_RESET: 0.2 },
  share: 0.5,
  goals: [hotResetDone, hotResetRefused],
});

export const driverBinding = property({
  id: "driver-binding",
  functionsBehind: "iommu",
  title: "drivers come and go: override, bind, unbind, and who owns the group meanwhile",
  motifs: BINDING_MOTIFS,
  devices: (topology) => [...functions(topology), ...mdevs(topology).slice(0, 1)],
  weights: { binding: 12 },
  ioctls: NO_RESETS,
  share: 0.5,
  goals: [rebound],
});

export const leaving = property({
  id: "leaving",
  functionsBehind: "iommu",
  title: "devices leave, also while they are open: removed, unbound, found again; and what their files are meanwhile",
  motifs: LEAVING_MOTIFS,
  devices: (topology) => [...functions(topology), ...mdevs(topology)],
  weights: { leaving: 14, binding: 6, close: 12, probe: 8, mdev: 2 },
  ioctls: {
    VFIO_DEVICE_RESET: 0.5,
    VFIO_DEVICE_PCI_HOT_RESET: 1,
    VFIO_GROUP_GET_DEVICE_FD: 3,
    VFIO_DEVICE_SET_IRQS: 2,
  },
  length: 60,
  share: 0.5,
  goals: LEAVING_GOALS,
});

export const noiommu = property({
  id: "noiommu",
  functionsBehind: "noiommu",
  needs: ["VFIO_NOIOMMU"],
  title:
    "functions without an IOMMU in no-IOMMU mode: through groups and containers or iommufds, never mixed with others",
  devices: (topology) => [...functions(topology), ...standing(topology).slice(0, 1)],
  kvm: false,
  weights: { binding: 3, mdev: 0, credentials: 1 },
  ioctls: { ...NO_RESETS, VFIO_GROUP_SET_CONTAINER: 4, VFIO_SET_IOMMU: 3, VFIO_CHECK_EXTENSION: 1 },
  share: 3,
  goals: [noiommuBackend, noiommuMixed, deviceThroughGroup],
});

export const irqBypass = property({
  id: "irq-bypass",
  functionsBehind: "iommu",
  needs: ["KVM"],
  title:
    "eventfds that interrupt VMs, and vectors of functions that are signalled on them: which leads where, and for how long",
  devices: functions,
  weights: { open: 6, mdev: 0, close: 8, dup: 3, io: 12, probe: 0 },
  ioctls: {
    ...FEW_OBJECTS,
    ...NO_RESETS,
    VFIO_DEVICE_SET_IRQS: 10,
    KVM_IRQFD: 14,
    KVM_SET_GSI_ROUTING: 3,
    KVM_IRQ_LINE: 1,
    KVM_IRQ_LINE_STATUS: 4,
    KVM_CREATE_IRQCHIP: 1,
    KVM_ENABLE_CAP: 1,
    KVM_CREATE_VM: 1,
    KVM_CREATE_DEVICE: 0.3,
  },
  otherIoctls: 0.2,
  length: 60,
  share: 1,
  motifs: IRQFD_MOTIFS,
  goals: IRQFD_GOALS,
});

export const kvmVfio = property({
  id: "kvm-vfio",
  title: "VMs and the VFIO files that they know: who keeps whom alive",
  devices: standing,
  weights: { mdev: 0, close: 10, probe: 4 },
  byOneIn: 16,
  ioctls: { ...NO_RESETS, KVM_CREATE_VM: 2, KVM_CREATE_DEVICE: 3, KVM_SET_DEVICE_ATTR: 8 },
  share: 1,
  motifs: KVM_MOTIFS,
  goals: [kvmFileAdded, bound, kvmSecondDevice, kvmFileTwice, kvmFileUnknown, kvmNoVfioFile, kvmVmOutlives],
});
