/** Openings of programs about virtual functions: their physical one is open or not, has a token or not, and then they are made. */
import { ioctl } from "../../model/ioctl-calls.ts";
import type { FunctionSpec } from "../../model/topology.ts";
import { PCI_REGION, REGION_SIZE } from "../../model/vfio/device-info.ts";
import { FEATURE, FEATURE_INDEX } from "../../model/vfio/feature.ts";
import { layoutOf } from "../../model/vfio-pci/config-layout.ts";
import { PM } from "../../model/vfio-pci/config-perms.ts";
import { D3_HOT } from "../../model/vfio-pci/config-space.ts";
import { oneIn, pick } from "./dice.ts";
import { type Make, open } from "./motif-calls.ts";
import type { Motif } from "./motifs.ts";
import type { Situation } from "./moves.ts";
import { ANY_TOKEN, asNumbers, asText, tokenOf } from "./tokens.ts";

/** Opens a function, with its token where that is known; gives its handle. */
function openWithToken(on: Situation, make: Make, device: string): string {
  const { dice, handles, machine } = on;
  const { k } = machine;
  const token = tokenOf(k, device);
  // Before 6.17 only a group's device can be given a token.
  if (k.has("VFIO_DEVICE_CDEV") && (!k.has("VFIO_CONTAINER") || (k.since("6.17") && !oneIn(dice, 3)))) {
    const file = open(on, make, { kind: "cdev", device });
    const iommufd = open(on, make, { kind: "iommufd" });
    const fields = token === null || !k.since("6.17") ? {} : { flags: 1, token_uuid_ptr: { fields: asNumbers(token) } };
    make(ioctl(file, "VFIO_DEVICE_BIND_IOMMUFD", { argsz: 24, iommufd, ...fields }));
    return file;
  }
  const container = open(on, make, { kind: "container" });
  const group = open(on, make, { kind: "group", device });
  make(ioctl(group, "VFIO_GROUP_SET_CONTAINER", { fd: container }));
  make({ op: "ioctl", fd: container, request: "VFIO_SET_IOMMU", arg: { kind: "value", value: 3 } });
  const as = handles.fresh("device");
  const name = token === null ? { device } : { device, text: ` vf_token=${asText(token)}` };
  make({ op: "ioctl", fd: group, request: "VFIO_GROUP_GET_DEVICE_FD", arg: { kind: "name", ...name }, as });
  return as;
}

function makeVirtual(make: Make, device: string, count: number): void {
  const attribute = { kind: "sriov", device, file: "sriov_numvfs" } as const;
  make({ op: "sysfs-write", attribute, text: { text: String(count) } });
}

const CONFIG = PCI_REGION.CONFIG * REGION_SIZE;

/** Where power management's control register is, or 0. */
function powerControl(spec: FunctionSpec): number {
  const power = layoutOf(spec, true).regions.find((region) => region?.permissions.kind === "pm");
  return power ? power.start + PM.CONTROL : 0;
}

/** The user of the physical function shares its token with that of a virtual one. */
const shared: Motif = (on, make) => {
  const { dice, machine, focus } = on;
  const specs = machine.k.topology.functions.filter(({ name }) => focus.devices.includes(name));
  const physical = pick(
    dice,
    specs.filter(({ totalVfs }) => totalVfs > 0),
  );
  const device = openWithToken(on, make, physical.name);
  if (oneIn(dice, 2)) {
    const flags = FEATURE.SET | FEATURE_INDEX.PCI_VF_TOKEN;
    make(ioctl(device, "VFIO_DEVICE_FEATURE_PCI_VF_TOKEN", { argsz: 24, flags, ...asNumbers(ANY_TOKEN) }));
  }
  const control = oneIn(dice, 4) ? powerControl(physical) : 0;
  if (control !== 0) make({ op: "pwrite", fd: device, count: 1, offset: CONFIG + control, bytes: [D3_HOT] });
  makeVirtual(make, physical.name, pick(dice, [1, 2, 2]));
  if (control !== 0) make({ op: "pread", fd: device, count: 2, offset: CONFIG + control });
  if (oneIn(dice, 6)) return;
  const virtual = specs.filter(({ physicalFunction }) => physicalFunction === physical.name);
  const file = openWithToken(on, make, pick(dice, virtual).name);
  if (oneIn(dice, 3)) make({ op: "pread", fd: file, count: 64, offset: CONFIG });
};

/** Nobody uses the physical function. */
const unused: Motif = (on, make) => {
  const { dice, machine, focus } = on;
  const specs = machine.k.topology.functions.filter(({ name }) => focus.devices.includes(name));
  const physical = pick(
    dice,
    specs.filter(({ totalVfs }) => totalVfs > 0),
  );
  makeVirtual(make, physical.name, 2);
  const virtual = specs.filter(({ physicalFunction }) => physicalFunction === physical.name);
  openWithToken(on, make, pick(dice, [physical, ...virtual]).name);
};

export const SRIOV_MOTIFS: readonly Motif[] = [shared, shared, shared, unused];
