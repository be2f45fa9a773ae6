/** Openings of programs about VMs: how VMMs tell a VM of the devices that they hand to it, and what may come in between. */
import type { Call } from "../../model/program.ts";
import { oneIn, pick } from "./dice.ts";
import type { Motif } from "./motifs.ts";
import type { Situation } from "./moves.ts";

type Make = (call: Call) => boolean;

const FILE = 1;
const ADD = 1;
const DEL = 2;

/** A VM with its VFIO device, now and then asked for a second, and told of a file that is none of VFIO's. */
function vm({ handles, dice }: Situation, make: Make): { readonly vm: string; readonly kvmVfio: string } {
  const kvm = handles.fresh("kvm");
  make({ op: "open", node: { kind: "kvm" }, as: kvm });
  const vm = handles.fresh("vm");
  make({ op: "ioctl", fd: kvm, request: "KVM_CREATE_VM", arg: { kind: "value", value: 0 }, as: vm });
  const kvmVfio = handles.fresh("kvm-vfio");
  const create = (as: string) =>
    make({
      op: "ioctl",
      fd: vm,
      request: "KVM_CREATE_DEVICE",
      arg: { kind: "struct", struct: { fields: { type: 4 } } },
      binds: { fd: as },
    });
  create(kvmVfio);
  if (oneIn(dice, 4)) create(handles.fresh("kvm-vfio"));
  if (oneIn(dice, 4)) tell(make, kvmVfio, ADD, pick(dice, [vm, kvmVfio]));
  return { vm, kvmVfio };
}

function tell(make: Make, kvmVfio: string, attr: number, file: string): void {
  make({
    op: "ioctl",
    fd: kvmVfio,
    request: "KVM_SET_DEVICE_ATTR",
    arg: { kind: "struct", struct: { fields: { group: FILE, attr, addr: { fields: { fd: file } } } } },
  });
}

/** A file of a device: its group with all that opening the device needs, or its own node. */
function file({ handles, dice, focus, machine }: Situation, make: Make): { readonly as: string; open(): string } {
  const device = pick(dice, focus.devices);
  const iommufd = machine.k.has("IOMMUFD") && oneIn(dice, 2);
  if (machine.k.has("VFIO_DEVICE_CDEV") && oneIn(dice, 2)) {
    const as = handles.fresh("device");
    make({ op: "open", node: { kind: "cdev", device }, as });
    const context = handles.fresh("iommufd");
    make({ op: "open", node: { kind: "iommufd" }, as: context });
    return {
      as,
      open() {
        make({
          op: "ioctl",
          fd: as,
          request: "VFIO_DEVICE_BIND_IOMMUFD",
          arg: { kind: "struct", struct: { fields: { argsz: 16, iommufd: context } } },
          binds: { out_devid: handles.fresh("devid") },
        });
        return as;
      },
    };
  }
  const as = handles.fresh("group");
  make({ op: "open", node: { kind: "group", device }, as });
  const container = handles.fresh(iommufd ? "iommufd" : "container");
  make({ op: "open", node: { kind: iommufd ? "iommufd" : "container" }, as: container });
  const set = { fields: { fd: container } };
  make({ op: "ioctl", fd: as, request: "VFIO_GROUP_SET_CONTAINER", arg: { kind: "struct", struct: set } });
  if (!iommufd) make({ op: "ioctl", fd: container, request: "VFIO_SET_IOMMU", arg: { kind: "value", value: 3 } });
  return {
    as,
    open() {
      const opened = handles.fresh("device");
      const arg = { kind: "name", device } as const;
      make({ op: "ioctl", fd: as, request: "VFIO_GROUP_GET_DEVICE_FD", arg, as: opened });
      return opened;
    },
  };
}

/** As VMMs do it: the VM is told first, then the device is opened. */
const inOrder: Motif = (on, make) => {
  const { kvmVfio } = vm(on, make);
  const { as, open } = file(on, make);
  tell(make, kvmVfio, ADD, as);
  open();
};

/** The device is open before the VM hears of it. */
const late: Motif = (on, make) => {
  const { as, open } = file(on, make);
  open();
  tell(make, vm(on, make).kvmVfio, ADD, as);
};

/** The VM forgets the file while the device is open. */
const forgotten: Motif = (on, make) => {
  const { kvmVfio } = vm(on, make);
  const { as, open } = file(on, make);
  tell(make, kvmVfio, ADD, as);
  open();
  tell(make, kvmVfio, DEL, as);
};

/** Two VMs hear of one file. */
const twice: Motif = (on, make) => {
  const first = vm(on, make);
  const second = vm(on, make);
  const { as, open } = file(on, make);
  tell(make, first.kvmVfio, ADD, as);
  tell(make, second.kvmVfio, ADD, as);
  if (oneIn(on.dice, 2)) tell(make, first.kvmVfio, DEL, as);
  open();
};

export const KVM_MOTIFS: readonly Motif[] = [inOrder, inOrder, late, forgotten, twice];
