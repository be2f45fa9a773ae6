/** Invariants about drivers of the PCI bus: of the model's state, and of what a program did and saw. */
import { pciStubDriver, vfioPciDriver } from "../../model/driver-core/pci-driver.ts";
import type { Call } from "../../model/program.ts";
import type { HistoryInvariant, StateInvariant } from "./invariant.ts";

export const vfioWhileBound: StateInvariant = {
  kind: "state",
  id: "vfio-while-bound",
  title: "a function is a VFIO device exactly while a driver of VFIO has it",
  broken({ machine: { k } }) {
    for (const { driver, spec, vfio } of k.functions) {
      // Those that take any function are pci-stub and the drivers of VFIO.
      const byVfio = (driver?.takesAny ?? false) && driver !== pciStubDriver;
      if (byVfio !== (vfio !== null)) {
        return `${spec.name} has ${driver?.name ?? "no driver"} and is ${vfio ? "a" : "no"} VFIO device`;
      }
    }
    return undefined;
  },
};

/** The driver that a call bound a function to by name, and the function; null for any other call, and where it was refused. */
function boundBy(call: Call, ret: number): { readonly driver: string; readonly device: string } | null {
  if (ret <= 0 || call.op !== "sysfs-write" || call.attribute.kind !== "bind" || !("device" in call.text)) return null;
  return { driver: call.attribute.driver, device: call.text.device };
}

export const oneDriver: HistoryInvariant = {
  kind: "history",
  id: "one-driver",
  title: "a function that has a driver is bound to no other, nor to the same again",
  broken(seen, call, ret) {
    const bound = boundBy(call, ret);
    const before = bound && seen.driver(bound.device);
    return before ? `${bound.device} was bound to ${bound.driver} while ${before} had it` : undefined;
  },
};

export const overrideBeatsIds: HistoryInvariant = {
  kind: "history",
  id: "override-beats-ids",
  title: "a function with an override is bound to no driver of another name",
  broken(seen, call, ret) {
    const bound = boundBy(call, ret);
    const override = bound && seen.override(bound.device);
    return override && override !== bound.driver
      ? `${bound.device} was bound to ${bound.driver} though it is for ${override}`
      : undefined;
  },
};

export const overrideOnly: HistoryInvariant = {
  kind: "history",
  id: "override-only",
  title: "vfio-pci gets no function without an override that names it, unless an id was added to it",
  broken(seen, call, ret) {
    const bound = boundBy(call, ret);
    if (bound?.driver !== vfioPciDriver.name || seen.gotId(bound.driver)) return undefined;
    return seen.override(bound.device) === null ? `${bound.device} was bound to vfio-pci by nothing` : undefined;
  },
};
