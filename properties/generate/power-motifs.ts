/** Openings of programs about low power: a function is open, may sleep, mostly is to tell when it wakes up, and mostly sleeps. */
import { ioctl } from "../../model/ioctl-calls.ts";
import { FEATURE, FEATURE_INDEX } from "../../model/vfio/feature.ts";
import { oneIn, pick } from "./dice.ts";
import { type Make, makeEventfd, open, openBound } from "./motif-calls.ts";
import { type Motif, openDevice } from "./motifs.ts";
import type { Situation } from "./moves.ts";

const { LOW_POWER_ENTRY, LOW_POWER_ENTRY_WITH_WAKEUP } = FEATURE_INDEX;

function fallsAsleep(on: Situation, make: Make, device: string, name: string): void {
  const { dice } = on;
  if (oneIn(dice, 3)) {
    make(ioctl(device, "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY", { argsz: 8, flags: FEATURE.SET | LOW_POWER_ENTRY }));
  } else {
    const wakeup_eventfd = makeEventfd(on, make);
    const flags = FEATURE.SET | LOW_POWER_ENTRY_WITH_WAKEUP;
    make(ioctl(device, "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP", { argsz: 16, flags, wakeup_eventfd }));
  }
  if (!oneIn(dice, 4)) make({ op: "probe", probe: { kind: "asleep", device: name } });
}

const alone: Motif = (on, make) => {
  const name = pick(on.dice, on.focus.devices);
  fallsAsleep(on, make, openDevice(on, make, name), name);
};

/** Two that are reset together belong to one user; one of them sleeps, and mostly the other has both reset. */
const pair: Motif = (on, make) => {
  const { dice, focus, machine } = on;
  const members = machine.k.functions.filter(({ spec }) => spec.hotResetWorks && focus.devices.includes(spec.name));
  const [one, other] = dice.roll(2) === 0 ? members : members.toReversed();
  if (!one || !other || !machine.k.has("VFIO_DEVICE_CDEV")) return alone(on, make);
  const iommufd = open(on, make, { kind: "iommufd" });
  const { file } = openBound(on, make, iommufd, one.spec.name);
  const mate = openBound(on, make, iommufd, other.spec.name);
  fallsAsleep(on, make, mate.file, other.spec.name);
  if (!oneIn(dice, 3)) make(ioctl(file, "VFIO_DEVICE_PCI_HOT_RESET", { argsz: 12 }));
};

export const POWER_MOTIFS: readonly Motif[] = [alone, alone, alone, pair];
