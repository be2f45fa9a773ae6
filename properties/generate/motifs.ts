/**
 * Motifs: the few ways in that real users take, as openings of programs, so that short programs get deep. Every call of a
 * motif may be refused; what follows takes it from there.
 */
import type { Call, Node } from "../../model/program.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import { fileKind, type Situation } from "./moves.ts";

/** Plays the calls of a motif through `make`. */
export type Motif = (on: Situation, make: (call: Call) => boolean) => void;

function open({ handles }: Situation, make: (call: Call) => boolean, node: Node): string {
  const as = handles.fresh(fileKind(node));
  make({ op: "open", node, as });
  return as;
}

/** A device to work on; an mdev is made first. */
function device(on: Situation, make: (call: Call) => boolean, name: string = pick(on.dice, on.focus.devices)): string {
  const { mdevs, topology } = on.machine.k;
  if (!topology.mdevs.some((mdev) => mdev.name === name) || mdevs.some((mdev) => mdev.name === name)) return name;
  const attribute = pickMdevType(on.dice);
  make({ op: "sysfs-write", attribute, text: { device: name } });
  return name;
}

function pickMdevType(dice: Dice) {
  const [parent, type] = pick(dice, [
    ["mtty", "mtty-1"],
    ["mtty", "mtty-2"],
    ["mdpy", "mdpy-vga"],
  ] as const);
  return { kind: "mdev-create", parent, type } as const;
}

/** Group and container. A kernel that leaves a way in out has another. */
const legacy: Motif = (on, make) => {
  if (!on.machine.k.has("VFIO_GROUP")) return cdev(on, make);
  if (!on.machine.k.has("VFIO_CONTAINER")) return compat(on, make);
  const name = device(on, make);
  const container = open(on, make, { kind: "container" });
  const group = open(on, make, { kind: "group", device: name });
  setContainer(make, group, container);
  make({ op: "ioctl", fd: container, request: "VFIO_SET_IOMMU", arg: { kind: "value", value: pick(on.dice, [1, 3]) } });
  getDevice(on, make, group, name);
};

/** Group and iommufd. */
const compat: Motif = (on, make) => {
  if (!on.machine.k.has("VFIO_GROUP")) return cdev(on, make);
  if (!on.machine.k.has("IOMMUFD")) return legacy(on, make);
  const name = device(on, make);
  const asContainer = on.machine.k.has("IOMMUFD_VFIO_CONTAINER") && oneIn(on.dice, 2);
  const iommufd = open(on, make, { kind: asContainer ? "container" : "iommufd" });
  const group = open(on, make, { kind: "group", device: name });
  setContainer(make, group, iommufd);
  getDevice(on, make, group, name);
};

/** Group and iommufd, then a container in the iommufd's place while the device is open. */
const switched: Motif = (on, make) => {
  if (!on.machine.k.has("VFIO_CONTAINER")) return compat(on, make);
  if (!on.machine.k.has("IOMMUFD")) return legacy(on, make);
  const name = device(on, make);
  const group = open(on, make, { kind: "group", device: name });
  setContainer(make, group, open(on, make, { kind: "iommufd" }));
  getDevice(on, make, group, name);
  make({ op: "ioctl", fd: group, request: "VFIO_GROUP_UNSET_CONTAINER", arg: { kind: "value", value: 0 } });
  const container = open(on, make, { kind: "container" });
  setContainer(make, group, container);
  make({ op: "ioctl", fd: container, request: "VFIO_SET_IOMMU", arg: { kind: "value", value: 1 } });
  getDevice(on, make, group, name);
};

/** The device's own node. */
const cdev: Motif = (on, make) => {
  if (!on.machine.k.has("VFIO_DEVICE_CDEV")) return legacy(on, make);
  const name = device(on, make);
  const iommufd = open(on, make, { kind: "iommufd" });
  const file = open(on, make, { kind: "cdev", device: name });
  bind(on, make, file, iommufd);
  const ioas = on.handles.fresh("ioas");
  make({
    op: "ioctl",
    fd: iommufd,
    request: "IOMMU_IOAS_ALLOC",
    arg: { kind: "struct", struct: { fields: { size: 12 } } },
    binds: { out_ioas_id: ioas },
  });
  if (oneIn(on.dice, 2)) return;
  make({
    op: "ioctl",
    fd: file,
    request: "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
    arg: { kind: "struct", struct: { fields: { argsz: 16, pt_id: ioas } } },
    binds: { pt_id: on.handles.fresh("hwpt") },
  });
};

/** Opens a device in the newest way that the kernel has, with access; gives its handle. */
export function openDevice(on: Situation, make: (call: Call) => boolean, name: string): string {
  device(on, make, name);
  if (on.machine.k.has("VFIO_DEVICE_CDEV") && !oneIn(on.dice, 4)) {
    const file = open(on, make, { kind: "cdev", device: name });
    bind(on, make, file, open(on, make, { kind: "iommufd" }));
    return file;
  }
  const container = open(on, make, { kind: "container" });
  const group = open(on, make, { kind: "group", device: name });
  setContainer(make, group, container);
  make({ op: "ioctl", fd: container, request: "VFIO_SET_IOMMU", arg: { kind: "value", value: 3 } });
  return getDevice(on, make, group, name);
}

/** A VM with its VFIO device, told of a file before or after that is put to use. */
const kvm: Motif = (on, make) => {
  if (!on.focus.kvm || !on.machine.k.topology.kvm) return cdev(on, make);
  const node = open(on, make, { kind: "kvm" });
  const vm = on.handles.fresh("vm");
  make({ op: "ioctl", fd: node, request: "KVM_CREATE_VM", arg: { kind: "value", value: 0 }, as: vm });
  const kvmVfio = on.handles.fresh("kvm-vfio");
  make({
    op: "ioctl",
    fd: vm,
    request: "KVM_CREATE_DEVICE",
    arg: { kind: "struct", struct: { fields: { type: 4 } } },
    binds: { fd: kvmVfio },
  });
  const name = device(on, make);
  const { k } = on.machine;
  const useCdev = k.has("VFIO_DEVICE_CDEV") && (!k.has("VFIO_GROUP") || oneIn(on.dice, 2));
  const file = open(on, make, { kind: useCdev ? "cdev" : "group", device: name });
  make({
    op: "ioctl",
    fd: kvmVfio,
    request: "KVM_SET_DEVICE_ATTR",
    arg: { kind: "struct", struct: { fields: { group: 1, attr: 1, addr: { fields: { fd: file } } } } },
  });
  if (!useCdev) return;
  bind(on, make, file, open(on, make, { kind: "iommufd" }));
};

function setContainer(make: (call: Call) => boolean, group: string, container: string): void {
  make({
    op: "ioctl",
    fd: group,
    request: "VFIO_GROUP_SET_CONTAINER",
    arg: { kind: "struct", struct: { fields: { fd: container } } },
  });
}

function getDevice(on: Situation, make: (call: Call) => boolean, group: string, name: string): string {
  const as = on.handles.fresh("device");
  make({ op: "ioctl", fd: group, request: "VFIO_GROUP_GET_DEVICE_FD", arg: { kind: "name", device: name }, as });
  return as;
}

function bind(on: Situation, make: (call: Call) => boolean, file: string, iommufd: string): void {
  make({
    op: "ioctl",
    fd: file,
    request: "VFIO_DEVICE_BIND_IOMMUFD",
    arg: { kind: "struct", struct: { fields: { argsz: 24, iommufd } } },
    binds: { out_devid: on.handles.fresh("devid") },
  });
}

export const MOTIFS: readonly Motif[] = [legacy, legacy, compat, compat, cdev, cdev, cdev, cdev, kvm, kvm, switched];
