/** Openings of programs about VMs: how VMMs tell a VM of the devices that they hand to it, and what may come in between. */
import { ioctl } from "../../model/ioctl-calls.ts";
import { oneIn, pick } from "./dice.ts";
import {
  createKvmVfio,
  createVm,
  DEL,
  getDevice,
  type Make,
  open,
  setContainer,
  setIommu,
  tellVm,
} from "./motif-calls.ts";
import type { Motif } from "./motifs.ts";
import type { Situation } from "./moves.ts";

/** A VM with its VFIO device, now and then asked for a second, and told of a file that is none of VFIO's. */
function openVm(on: Situation, make: Make): { readonly vm: string; readonly kvmVfio: string } {
  const { dice } = on;
  const vm = createVm(on, make, open(on, make, { kind: "kvm" }));
  const kvmVfio = createKvmVfio(on, make, vm);
  if (oneIn(dice, 4)) createKvmVfio(on, make, vm);
  if (oneIn(dice, 4)) tellVm(make, kvmVfio, pick(dice, [vm, kvmVfio]));
  return { vm, kvmVfio };
}

/** A file of a device: its group with all that opening the device needs, or its own node. */
function deviceFile(on: Situation, make: Make): { readonly as: string; openDevice(): string } {
  const { handles, dice, focus, machine } = on;
  const device = pick(dice, focus.devices);
  const iommufd = machine.k.has("IOMMUFD") && oneIn(dice, 2);
  if (machine.k.has("VFIO_DEVICE_CDEV") && oneIn(dice, 2)) {
    const as = open(on, make, { kind: "cdev", device });
    const context = open(on, make, { kind: "iommufd" });
    return {
      as,
      openDevice() {
        const binds = { out_devid: handles.fresh("devid") };
        make(ioctl(as, "VFIO_DEVICE_BIND_IOMMUFD", { argsz: 16, iommufd: context }, { binds }));
        return as;
      },
    };
  }
  const as = open(on, make, { kind: "group", device });
  const container = open(on, make, { kind: iommufd ? "iommufd" : "container" });
  setContainer(make, as, container);
  if (!iommufd) setIommu(make, container, 3);
  return { as, openDevice: () => getDevice(on, make, as, device) };
}

/** As VMMs do it: the VM is told first, then the device is opened. */
const inOrder: Motif = (on, make) => {
  const { kvmVfio } = openVm(on, make);
  const { as, openDevice } = deviceFile(on, make);
  tellVm(make, kvmVfio, as);
  openDevice();
};

/** The device is open before the VM hears of it. */
const late: Motif = (on, make) => {
  const { as, openDevice } = deviceFile(on, make);
  openDevice();
  tellVm(make, openVm(on, make).kvmVfio, as);
};

/** The VM forgets the file while the device is open. */
const forgotten: Motif = (on, make) => {
  const { kvmVfio } = openVm(on, make);
  const { as, openDevice } = deviceFile(on, make);
  tellVm(make, kvmVfio, as);
  openDevice();
  tellVm(make, kvmVfio, as, DEL);
};

/** Two VMs hear of one file. */
const twice: Motif = (on, make) => {
  const first = openVm(on, make);
  const second = openVm(on, make);
  const { as, openDevice } = deviceFile(on, make);
  tellVm(make, first.kvmVfio, as);
  tellVm(make, second.kvmVfio, as);
  if (oneIn(on.dice, 2)) tellVm(make, first.kvmVfio, as, DEL);
  openDevice();
};

export const KVM_MOTIFS: readonly Motif[] = [inOrder, inOrder, late, forgotten, twice];
