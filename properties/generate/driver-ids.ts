/** Ids that drivers of the PCI bus get and lose, and functions that look for a driver. */
import { idOf } from "../../model/driver-core/pci-id.ts";
import type { PciFunction } from "../../model/pci/function.ts";
import type { Call } from "../../model/program.ts";
import { ERRNO } from "../../model/uapi/errno.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import { type Make, open } from "./motif-calls.ts";
import type { Motif } from "./motifs.ts";
import type { Situation } from "./moves.ts";

/** Drivers that take any function, the others seldom. */
const DRIVERS = ["vfio-pci", "vfio-pci", "vfio-pci", "pci-stub", "pci-stub", "pci-stub", "e1000e", "nonesuch"];

const ANY = "ffffffff";
const hex = (number: number): string => number.toString(16);

/** The text of an id that means a function, or nearly so. */
function idText(dice: Dice, { spec }: PciFunction): string {
  const own = idOf(spec);
  const [vendor, device] = [hex(own.vendor), hex(own.device)];
  const anySubsystem = `${vendor} ${device} ${ANY} ${ANY}`;
  switch (dice.roll(16)) {
    case 0:
      return `${vendor} ${device} ${hex(own.subvendor)} ${hex(own.subdevice)}`;
    case 1:
      return `${vendor} ${device} ${pick(dice, ["1", ANY])} 2`;
    case 2:
      return `${ANY} ${ANY} ${ANY} ${ANY} ${hex(own.class & 0xff_ff_00)} ffff00`;
    case 3:
      return `${anySubsystem} ${hex(own.class ^ pick(dice, [0, 1, 0x01_00_00]))} ${pick(dice, ["ffffff", "ff0000", "0"])}`;
    case 4:
    case 5:
      return `${anySubsystem} 0 0 ${pick(dice, ["0", "0", "1", "3"])}`;
    case 6:
      return pick(dice, ["", "\n", vendor, `${vendor},${device}`, `-1 ${device}`, "vfio-pci"]);
    case 7:
      return pick(dice, [
        ` 0x${vendor}\t0X${device}\n`,
        `${vendor} ${device} rest`,
        `1${vendor.padStart(8, "0")} ${device}`,
      ]);
    case 8:
      return "1234 5678";
    default:
      return `${vendor} ${device}`;
  }
}

/** The text of an id that was added to some driver. */
function addedId(dice: Dice, { machine: { k } }: Situation): { readonly driver: string; readonly text: string } | null {
  const added = [...k.pciBus.dynids].flatMap(([{ name }, ids]) => ids.map((id) => ({ driver: name, id })));
  if (added.length === 0) return null;
  const { driver, id } = pick(dice, added);
  const rest = oneIn(dice, 4) ? ` ${hex(id.subvendor)} ${hex(id.subdevice)} ${hex(id.class)} ${hex(id.classMask)}` : "";
  return { driver, text: `${hex(id.vendor)} ${hex(id.device)}${rest}` };
}

const written = (call: Omit<Call & { op: "sysfs-write" }, "op">): Call => ({ op: "sysfs-write", ...call });
const unbound = (driver: string, device: string): Call =>
  written({ attribute: { kind: "unbind", driver }, text: { device } });
const override = (device: string, text: string): Call =>
  written({ attribute: { kind: "driver_override", device }, text: { text } });
const newId = (driver: string, text: string): Call =>
  written({ attribute: { kind: "new_id", driver }, text: { text } });
const probed = (device: string): Call =>
  written({ attribute: { kind: "pci-bus", file: "drivers_probe" }, text: { device } });

/** A call about ids and drivers that functions look for. */
export function driverIdCall(on: Situation): Call | undefined {
  const { dice, focus, machine } = on;
  const functions = machine.k.functions.filter(({ spec }) => focus.devices.includes(spec.name));
  if (functions.length === 0) return undefined;
  const pciFunction = pick(dice, functions);
  const device = pciFunction.spec.name;
  switch (dice.roll(16)) {
    case 0:
      return written({
        attribute: { kind: "pci-bus", file: "drivers_autoprobe" },
        text: { text: pick(dice, ["0", "1", "00", "x", ""]) },
      });
    case 1: {
      const kind = pick(dice, ["new_id", "remove_id"] as const);
      if (oneIn(dice, 3)) return { op: "sysfs-read", attribute: { kind, driver: "vfio-pci" } };
      return {
        op: "sysfs-read",
        attribute: { kind: "pci-bus", file: oneIn(dice, 4) ? "drivers_probe" : "drivers_autoprobe" },
      };
    }
    case 2:
    case 3:
    case 4: {
      const { driver, text } = (!oneIn(dice, 4) && addedId(dice, on)) || {
        driver: pick(dice, DRIVERS),
        text: idText(dice, pciFunction),
      };
      return written({ attribute: { kind: "remove_id", driver }, text: { text } });
    }
    case 5:
    case 6:
      return oneIn(dice, 12)
        ? written({
            attribute: { kind: "pci-bus", file: "drivers_probe" },
            text: { text: pick(dice, ["", "nonesuch", "\n"]) },
          })
        : probed(device);
    case 7:
    case 8:
      return override(device, pick(dice, ["\n", "\n", "\n", "vfio-pci", "pci-stub", "nonesuch"]));
    case 9:
    case 10:
      return pciFunction.driver ? unbound(pciFunction.driver.name, device) : probed(device);
    default:
      return newId(pick(dice, DRIVERS), idText(dice, pciFunction));
  }
}

/** Takes functions from vfio-pci and leaves them to be bound by ids. */
function release({ dice, focus, machine }: Situation, make: Make): PciFunction[] {
  const functions = machine.k.functions.filter(({ spec }) => focus.devices.includes(spec.name));
  const first = dice.roll(functions.length);
  const released = functions.slice(first, first + 1 + dice.roll(2));
  for (const { spec } of released) {
    make(unbound("vfio-pci", spec.name));
    make(override(spec.name, "\n"));
  }
  return released;
}

/** Functions are released, and a driver gets an id of theirs. */
const byId: Motif = (on, make) => {
  const [one] = release(on, make);
  if (!one) return;
  const device = one.spec.name;
  make(newId(pick(on.dice, ["vfio-pci", "pci-stub"]), idText(on.dice, one)));
  make({ op: "probe", probe: { kind: "driver", device } });
  open(on, make, { kind: on.machine.k.has("VFIO_DEVICE_CDEV") && oneIn(on.dice, 2) ? "cdev" : "group", device });
};

/** A function is released while its group may be somebody's, and looks for a driver. */
const lookedFor: Motif = (on, make) => {
  const { dice, machine } = on;
  const [one] = release(on, make);
  if (!one) return;
  const mate = machine.k.functions.find((other) => other !== one && other.vfio && other.group === one.group);
  if (mate && oneIn(dice, 2)) {
    const container = open(on, make, { kind: "container" });
    const group = open(on, make, { kind: "group", device: mate.spec.name });
    make({
      op: "ioctl",
      fd: group,
      request: "VFIO_GROUP_SET_CONTAINER",
      arg: { kind: "struct", struct: { fields: { fd: container } } },
    });
  }
  make(probed(one.spec.name));
  if (machine.answer.ret === -ERRNO.EINVAL) make({ op: "probe", probe: { kind: "driver", device: one.spec.name } });
};

export const DRIVER_ID_MOTIFS: readonly Motif[] = [byId, byId, lookedFor];
