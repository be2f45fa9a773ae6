/** Functions that another one's driver manages, and the devices of the auxiliary bus that stand for them. */
import { AUXILIARY_DRIVERS, MANAGED_VFIO } from "../../model/driver-core/auxiliary.ts";
import type { PciFunction } from "../../model/pci/function.ts";
import type { Call } from "../../model/program.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import { type Make, open } from "./motif-calls.ts";
import type { Motif } from "./motifs.ts";
import type { Situation } from "./moves.ts";

const MANAGER = "mlx5_core";
const [VFIO_AUXILIARY = { name: "" }] = AUXILIARY_DRIVERS;

const written = (call: Omit<Call & { op: "sysfs-write" }, "op">): Call => ({ op: "sysfs-write", ...call });
const unbound = (driver: string, device: string): Call =>
  written({ attribute: { kind: "unbind", driver }, text: { device } });
const bound = (driver: string, device: string): Call =>
  written({ attribute: { kind: "bind", driver }, text: { device } });
const override = (device: string, text: string): Call =>
  written({ attribute: { kind: "driver_override", device }, text: { text } });

/** A name that a device of the auxiliary bus has, or might have. */
function deviceName(dice: Dice, { machine: { k } }: Situation): string {
  if (k.auxiliaries.length > 0 && !oneIn(dice, 6)) return pick(dice, k.auxiliaries).name;
  return pick(dice, [
    "mlx5_core.vfio_pci.2048",
    "mlx5_core.vfio_pci.2304",
    "mlx5_core.vfio_pci.1792",
    "mlx5_core.eth.0",
  ]);
}

/** A call about managers, what they manage, and the bus between them. */
export function auxiliaryCall(on: Situation): Call | undefined {
  const { dice, machine } = on;
  const { functions, topology } = machine.k;
  if (topology.managed.length === 0) return undefined;
  const pciFunction = pick(dice, functions);
  const device = pciFunction.spec.name;
  const own = ownDriver(pciFunction, topology.managed);
  switch (dice.roll(12)) {
    case 0:
      return { op: "probe", probe: { kind: "auxiliaries" } };
    case 1:
      return { op: "probe", probe: { kind: "aux-driver", name: deviceName(dice, on) } };
    case 2:
    case 3:
    case 4: {
      const driver = oneIn(dice, 4) ? pick(dice, ["mlx5_ib.rdma", "nonesuch"]) : VFIO_AUXILIARY.name;
      const text = deviceName(dice, on) + pick(dice, ["", "", "", "\n"]);
      const file = pick(dice, ["bind", "unbind"] as const);
      if (oneIn(dice, 12)) return { op: "sysfs-read", attribute: { kind: "aux-driver", driver, file } };
      return written({ attribute: { kind: "aux-driver", driver, file }, text: { text } });
    }
    case 5:
    case 6:
      return override(device, pick(dice, ["\n", "vfio-pci", own, own]));
    case 7:
    case 8:
      return unbound(pciFunction.driver?.name ?? own, device);
    default:
      return bound(oneIn(dice, 4) ? "vfio-pci" : own, device);
  }
}

/** The driver that the design has for a function: its manager's, or VFIO's for what is managed. */
function ownDriver({ spec }: PciFunction, managed: readonly { readonly function: string }[]): string {
  return managed.some((each) => each.function === spec.name) ? MANAGED_VFIO : MANAGER;
}

/** Gives a function to the driver that the design has for it. */
function give(make: Make, device: string, driver: string): void {
  make(unbound("vfio-pci", device));
  make(override(device, driver));
  make(bound(driver, device));
}

/** A manager comes, then what it manages becomes a VFIO device. */
const managed: Motif = (on, make) => {
  const { managed: pairs } = on.machine.k.topology;
  if (pairs.length === 0) return;
  const pair = pick(on.dice, pairs);
  give(make, pair.manager, MANAGER);
  make({ op: "probe", probe: { kind: "auxiliaries" } });
  if (oneIn(on.dice, 2)) return;
  give(make, pair.function, MANAGED_VFIO);
  open(on, make, { kind: "group", device: pair.function });
};

export const AUXILIARY_MOTIFS: readonly Motif[] = [managed];
