/** Openings with two functions, mostly of one group: who shares an iommufd with whom, and who takes a group's viability. */
import { ioctl } from "../../model/ioctl-calls.ts";
import type { PciFunction } from "../../model/pci/function.ts";
import { oneIn, pick } from "./dice.ts";
import { IRQ_MOTIFS } from "./irq-motifs.ts";
import { allocIoas, attach, open, openBound } from "./motif-calls.ts";
import { MOTIFS, type Motif } from "./motifs.ts";
import type { Situation } from "./moves.ts";

/** A function that programs use, and another: of its group where that has one. */
function pickPair({ dice, focus, machine }: Situation): readonly [PciFunction, PciFunction] | null {
  const functions = machine.k.functions.filter(({ spec }) => focus.devices.includes(spec.name));
  if (functions.length < 2) return null;
  const one = pick(dice, functions);
  const others = functions.filter((other) => other !== one);
  const mates = others.filter(({ group }) => group !== null && group === one.group);
  return [one, pick(dice, mates.length > 0 ? mates : others)];
}

/** Both are bound through their nodes to one iommufd, and attached to one IOAS. */
const together: Motif = (on, make) => {
  const pair = on.machine.k.has("VFIO_DEVICE_CDEV") ? pickPair(on) : null;
  if (!pair) return pick(on.dice, MOTIFS)(on, make);
  const iommufd = open(on, make, { kind: "iommufd" });
  const bound = pair.map(({ spec }) => openBound(on, make, iommufd, spec.name));
  let target = allocIoas(on, make, iommufd);
  for (const { file } of bound) {
    const hwpt = attach(on, make, file, target);
    if (oneIn(on.dice, 2)) target = hwpt;
  }
};

/** One is given to another driver, then the group of the other is opened. */
const givenAway: Motif = (on, make) => {
  const pair = pickPair(on);
  if (!pair) return pick(on.dice, MOTIFS)(on, make);
  const [one, { spec }] = pair;
  const native = on.machine.k.topology.drivers.find((name) => name === spec.nativeDriver);
  const driver = oneIn(on.dice, 2) ? "pci-stub" : (native ?? "pci-stub");
  const device = spec.name;
  make({ op: "sysfs-write", attribute: { kind: "unbind", driver: "vfio-pci" }, text: { device } });
  const text = driver === "pci-stub" ? driver : "\n";
  make({ op: "sysfs-write", attribute: { kind: "driver_override", device }, text: { text } });
  make({ op: "sysfs-write", attribute: { kind: "bind", driver }, text: { device } });
  const group = open(on, make, { kind: "group", device: one.spec.name });
  make(ioctl(group, "VFIO_GROUP_GET_STATUS", { argsz: 8 }));
};

/** One is bound through its node, which claims the group, then a driver of the kernel is to have the other. */
const besideOwner: Motif = (on, make) => {
  const pair = on.machine.k.has("VFIO_DEVICE_CDEV") ? pickPair(on) : null;
  const driver = pair?.[1].spec.nativeDriver;
  if (!pair || !driver) return pick(on.dice, MOTIFS)(on, make);
  const [one, other] = pair;
  const device = other.spec.name;
  make({ op: "sysfs-write", attribute: { kind: "unbind", driver: "vfio-pci" }, text: { device } });
  make({ op: "sysfs-write", attribute: { kind: "driver_override", device }, text: { text: "\n" } });
  const { file } = openBound(on, make, open(on, make, { kind: "iommufd" }), one.spec.name);
  make({ op: "sysfs-write", attribute: { kind: "bind", driver }, text: { device } });
  if (oneIn(on.dice, 2)) make({ op: "close", fd: file });
  make({ op: "sysfs-write", attribute: { kind: "bind", driver }, text: { device } });
};

/** For properties about functions, and for those that bind drivers as well. */
export const FUNCTION_MOTIFS: readonly Motif[] = [
  ...MOTIFS,
  ...[together, together, together],
  ...IRQ_MOTIFS,
  ...IRQ_MOTIFS,
];
export const BINDING_MOTIFS: readonly Motif[] = [...MOTIFS, together, givenAway, givenAway, givenAway, besideOwner];
