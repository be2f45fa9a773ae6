/** Devices that leave: functions that are taken off the bus and found again, and devices that are taken away while they are open. */

import { ioctl } from "../../model/ioctl-calls.ts";
import type { Mdev } from "../../model/mdev/objects.ts";
import type { PciFunction } from "../../model/pci/function.ts";
import type { Attribute, Call, Text } from "../../model/program.ts";
import { PCI_IRQ } from "../../model/vfio/device-info.ts";
import { IRQ_SET } from "../../model/vfio/irqs.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import { getDevice, type Make, makeEventfd, open, openBound, setContainer, setIommu } from "./motif-calls.ts";
import type { Motif } from "./motifs.ts";
import type { Situation } from "./moves.ts";

/** Something that is written to an attribute. */
interface Written {
  readonly attribute: Attribute;
  readonly text: Text;
}

const ONE: Text = { text: "1" };

const write = (written: Written): Call => ({ op: "sysfs-write", ...written });

/** What takes a function from its driver, or off the bus. */
function takesFunction(dice: Dice, { spec, driver, vfs }: PciFunction): Written {
  const device = spec.name;
  if (vfs.length > 0 && !oneIn(dice, 3))
    return { attribute: { kind: "sriov", device, file: "sriov_numvfs" }, text: { text: "0" } };
  if (!driver || oneIn(dice, 2)) return { attribute: { kind: "pci-device", device, file: "remove" }, text: ONE };
  return { attribute: { kind: "unbind", driver: driver.name }, text: { device } };
}

/** What takes a mediated device from its driver, or away. */
function takesMdev(dice: Dice, { name, parent }: Mdev): Written {
  if (oneIn(dice, 3)) {
    return { attribute: { kind: "mdev-driver", driver: parent.name, file: "unbind" }, text: { device: name } };
  }
  return { attribute: { kind: "mdev-remove", device: name }, text: ONE };
}

const isOpen = ({ vfio }: Mdev | PciFunction): boolean => (vfio?.registrations ?? 0) > 0;

/** Devices of the focus that are there, and what takes each away. */
function takeable({ dice, focus, machine: { k } }: Situation): { readonly isOpen: boolean; readonly by: Written }[] {
  const functions = k.functions.filter(({ spec }) => focus.devices.includes(spec.name));
  const mdevs = k.mdevs.filter(({ name }) => focus.devices.includes(name));
  return [
    ...functions.map((each) => ({ isOpen: [each, ...each.vfs].some(isOpen), by: takesFunction(dice, each) })),
    ...mdevs.map((each) => ({ isOpen: isOpen(each), by: takesMdev(dice, each) })),
  ];
}

/** Where functions that were removed are looked for. */
function rescan({ dice, focus, machine: { k } }: Situation): Call {
  const [gone] = k.removed.functions;
  const there = k.functions.filter(({ spec }) => focus.devices.includes(spec.name));
  const text = oneIn(dice, 12) ? { text: pick(dice, ["0", "two", "", "-1"]) } : { text: pick(dice, ["1", "1\n", "2"]) };
  switch (dice.roll(4)) {
    case 0:
      if (gone) return write({ attribute: { kind: "pci-bridge", device: gone.spec.name, file: "rescan" }, text });
      break;
    case 1:
      if (there.length > 0) {
        const device = pick(dice, there).spec.name;
        return write({ attribute: { kind: "pci-device", device, file: "rescan" }, text });
      }
  }
  return write({ attribute: { kind: "pci-bus", file: "rescan" }, text });
}

/** A call that takes a device away, brings functions back, or waits for what takes one away. */
export function leavingCall(on: Situation): Call | undefined {
  const { dice, handles, machine } = on;
  const { removed } = machine.k;
  if (handles.tasks.length > 0 && oneIn(dice, 2)) return { op: "join", task: pick(dice, handles.tasks) };
  if (removed.functions.length > 0 && !oneIn(dice, 4)) return rescan(on);
  const devices = takeable(on);
  if (devices.length === 0 || oneIn(dice, 12)) return rescan(on);
  const open = devices.filter(({ isOpen }) => isOpen);
  const { isOpen, by } = pick(dice, open.length > 0 && !oneIn(dice, 3) ? open : devices);
  if (oneIn(dice, 16)) return write({ ...by, text: { text: pick(dice, ["0", "", "away"]) } });
  if (handles.tasks.length < MOST_TASKS && (isOpen || oneIn(dice, 6))) {
    return { op: "start", ...by, as: handles.fresh("task") };
  }
  return write(by);
}

/** Far more than wait at once. */
const MOST_TASKS = 6;

/** Opens a device by a way that the kernel has; gives its file. */
function openOne(on: Situation, make: Make, device: string): string {
  const { dice, machine } = on;
  const { k } = machine;
  if (k.has("VFIO_DEVICE_CDEV") && k.since("6.6") && (oneIn(dice, 2) || !k.has("VFIO_CONTAINER"))) {
    const iommufd = open(on, make, { kind: "iommufd" });
    return openBound(on, make, iommufd, device).file;
  }
  const container = open(on, make, { kind: "container" });
  const group = open(on, make, { kind: "group", device });
  setContainer(make, group, container);
  setIommu(make, container, 1);
  return getDevice(on, make, group, device);
}

/** A device is taken away while it is open, and its user may have asked to be told. */
const whileOpen: Motif = (on, make) => {
  const { dice, focus, handles, machine } = on;
  const device = pick(dice, focus.devices);
  const file = openOne(on, make, device);
  const { k } = machine;
  const pciFunction = k.functions.find(({ spec }) => spec.name === device);
  const mdev = k.mdevs.find(({ name }) => name === device);
  let channel: string | null = null;
  if (pciFunction && oneIn(dice, 2)) {
    channel = makeEventfd(on, make);
    const flags = IRQ_SET.EVENTFD | IRQ_SET.TRIGGER;
    const fields = { argsz: 24, flags, index: PCI_IRQ.REQ, count: 1, data: [channel] };
    make(ioctl(file, "VFIO_DEVICE_SET_IRQS", fields));
  }
  const by = pciFunction ? takesFunction(dice, pciFunction) : mdev ? takesMdev(dice, mdev) : null;
  if (!by) return;
  make({ op: "start", ...by, as: handles.fresh("task") });
  if (channel !== null && oneIn(dice, 2)) make({ op: "read", fd: channel, count: 8 });
};

/** A function is removed and found, and made over to vfio-pci again; a file of its group may stay. */
const backAgain: Motif = (on, make) => {
  const { dice, machine } = on;
  const functions = machine.k.functions.filter(({ spec }) => on.focus.devices.includes(spec.name));
  const device = pick(dice, functions).spec.name;
  if (oneIn(dice, 2)) open(on, make, { kind: "group", device });
  make(write({ attribute: { kind: "pci-device", device, file: "remove" }, text: ONE }));
  make(rescan(on));
  const back = machine.k.functions.find(({ spec }) => spec.name === device);
  if (!back) return;
  make(write({ attribute: { kind: "driver_override", device }, text: { text: "vfio-pci" } }));
  if (back.driver) make(write({ attribute: { kind: "unbind", driver: back.driver.name }, text: { device } }));
  make(write({ attribute: { kind: "bind", driver: "vfio-pci" }, text: { device } }));
  openOne(on, make, device);
};

export const LEAVING_MOTIFS: readonly Motif[] = [whileOpen, whileOpen, whileOpen, backAgain];
