/** Openings with two functions, mostly of one group: who shares an iommufd with whom, and who takes a group's viability. */

import type { PciFunction } from "../../model/pci/function.ts";
import type { Call } from "../../model/program.ts";
import { oneIn, pick } from "./dice.ts";
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
  const iommufd = on.handles.fresh("iommufd");
  make({ op: "open", node: { kind: "iommufd" }, as: iommufd });
  const files = pair.map(({ spec }) => {
    const file = on.handles.fresh("device");
    make({ op: "open", node: { kind: "cdev", device: spec.name }, as: file });
    const out_devid = on.handles.fresh("devid");
    make(struct(file, "VFIO_DEVICE_BIND_IOMMUFD", { argsz: 24, iommufd }, { out_devid }));
    return file;
  });
  const ioas = on.handles.fresh("ioas");
  make(struct(iommufd, "IOMMU_IOAS_ALLOC", { size: 12 }, { out_ioas_id: ioas }));
  let target = ioas;
  for (const file of files) {
    const hwpt = on.handles.fresh("hwpt");
    make(struct(file, "VFIO_DEVICE_ATTACH_IOMMUFD_PT", { argsz: 16, pt_id: target }, { pt_id: hwpt }));
    if (oneIn(on.dice, 2)) target = hwpt;
  }
};

/** One is given to another driver, then the group of the other is opened. */
const givenAway: Motif = (on, make) => {
  const pair = pickPair(on);
  if (!pair) return pick(on.dice, MOTIFS)(on, make);
  const [one, { spec }] = pair;
  const driver = oneIn(on.dice, 2) ? "pci-stub" : (spec.nativeDriver ?? "pci-stub");
  const device = spec.name;
  make({ op: "sysfs-write", attribute: { kind: "unbind", driver: "vfio-pci" }, text: { device } });
  const text = driver === "pci-stub" ? driver : "\n";
  make({ op: "sysfs-write", attribute: { kind: "driver_override", device }, text: { text } });
  make({ op: "sysfs-write", attribute: { kind: "bind", driver }, text: { device } });
  const group = on.handles.fresh("group");
  make({ op: "open", node: { kind: "group", device: one.spec.name }, as: group });
  make(struct(group, "VFIO_GROUP_GET_STATUS", { argsz: 8 }));
};

function struct(
  fd: string,
  request: string,
  fields: Readonly<Record<string, number | string>>,
  binds?: Readonly<Record<string, string>>,
): Call {
  const call = { op: "ioctl", fd, request, arg: { kind: "struct", struct: { fields } } } as const;
  return binds ? { ...call, binds } : call;
}

/** For properties about functions, and for those that bind drivers as well. */
export const FUNCTION_MOTIFS: readonly Motif[] = [...MOTIFS, together, together, together];
export const BINDING_MOTIFS: readonly Motif[] = [...MOTIFS, together, givenAway, givenAway, givenAway];
