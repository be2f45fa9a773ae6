/**
 * Motifs: the few ways in that real users take, as openings of programs, so that short programs get deep. Every call of a
 * motif may be refused; what follows takes it from there.
 */
import { ioctlValue } from "../../model/ioctl-calls.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import {
  allocIoas,
  attach,
  bind,
  createKvmVfio,
  createVm,
  getDevice,
  type Make,
  open,
  setContainer,
  setIommu,
  tellVm,
} from "./motif-calls.ts";
import type { Situation } from "./moves.ts";

/** Plays the calls of a motif through `make`. */
export type Motif = (on: Situation, make: Make) => void;

/** A device to work on; an mdev is made first. */
function device(on: Situation, make: Make, name: string = pick(on.dice, on.focus.devices)): string {
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
  setIommu(make, container, pick(on.dice, [1, 3]));
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
  make(ioctlValue(group, "VFIO_GROUP_UNSET_CONTAINER"));
  const container = open(on, make, { kind: "container" });
  setContainer(make, group, container);
  setIommu(make, container, 1);
  getDevice(on, make, group, name);
};

/** The device's own node. */
const cdev: Motif = (on, make) => {
  if (!on.machine.k.has("VFIO_DEVICE_CDEV")) return legacy(on, make);
  const name = device(on, make);
  const iommufd = open(on, make, { kind: "iommufd" });
  const file = open(on, make, { kind: "cdev", device: name });
  bind(on, make, file, iommufd);
  const ioas = allocIoas(on, make, iommufd);
  if (!oneIn(on.dice, 2)) attach(on, make, file, ioas);
};

/** Opens a device in the newest way that the kernel has, with access; gives its handle. */
export function openDevice(on: Situation, make: Make, name: string): string {
  device(on, make, name);
  if (on.machine.k.has("VFIO_DEVICE_CDEV") && !oneIn(on.dice, 4)) {
    const file = open(on, make, { kind: "cdev", device: name });
    bind(on, make, file, open(on, make, { kind: "iommufd" }));
    return file;
  }
  const container = open(on, make, { kind: "container" });
  const group = open(on, make, { kind: "group", device: name });
  setContainer(make, group, container);
  setIommu(make, container, 3);
  return getDevice(on, make, group, name);
}

/** A VM with its VFIO device, told of a file before or after that is put to use. */
const kvm: Motif = (on, make) => {
  if (!on.focus.kvm || !on.machine.k.topology.kvm) return cdev(on, make);
  const kvmVfio = createKvmVfio(on, make, createVm(on, make, open(on, make, { kind: "kvm" })));
  const name = device(on, make);
  const { k } = on.machine;
  const useCdev = k.has("VFIO_DEVICE_CDEV") && (!k.has("VFIO_GROUP") || oneIn(on.dice, 2));
  const file = open(on, make, { kind: useCdev ? "cdev" : "group", device: name });
  tellVm(make, kvmVfio, file);
  if (useCdev) bind(on, make, file, open(on, make, { kind: "iommufd" }));
};

export const MOTIFS: readonly Motif[] = [legacy, legacy, compat, compat, cdev, cdev, cdev, cdev, kvm, kvm, switched];
