/** Low power of functions: allowed, forbidden, and ended by a wakeup. Beside the runtime PM of drivers/vfio/pci/vfio_pci_core.c. */
import { type EventCounter, eventfdOf } from "../eventfd.ts";
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import { locksOf } from "../pci/locks.ts";
import { field } from "../uapi/layout.ts";
import { FEATURE, FEATURE_HEADER, FEATURE_INDEX, type Feature, featureIoctl } from "../vfio/feature.ts";
import { D0, noteReset } from "./config-space.ts";
import { functionOf } from "./pci-device.ts";
import { rule as sriovRule } from "./sriov.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_core.c:${name}`;
const header = (name: string) => `include/uapi/linux/vfio.h:VFIO_DEVICE_FEATURE_LOW_POWER_${name}`;
const runtime = { kconfig: ["PM"], observable: "later-call" } as const;

export const rule = clauses({
  "VFIO-PCI-POWER-1": {
    rule: "a function that was allowed low power must be forbidden it before it is allowed it again",
    errno: "EINVAL",
    source: source("vfio_pci_runtime_pm_entry"),
  },
  "VFIO-PCI-POWER-2": {
    rule: "the function may go to low power from now on",
    source: header("ENTRY"),
    observable: "later-call",
  },
  "VFIO-PCI-POWER-3": {
    rule: "low power can be forbidden, whether or not it was allowed",
    source: header("EXIT"),
    observable: "later-call",
  },
  "VFIO-PCI-POWER-4": {
    ...runtime,
    rule: "a function that may go to low power does so while no call is made on it",
    source: header("ENTRY"),
    observable: "sysfs",
  },
  "VFIO-PCI-POWER-5": {
    ...runtime,
    rule: "a function that sleeps is in full power for each call on it, refused or not, and sleeps again afterwards",
    partial: true,
    source: header("ENTRY"),
  },
  "VFIO-PCI-POWER-6": {
    ...runtime,
    rule: "a function that its user has open and did not allow low power is awake; one that nobody has open sleeps",
    source: source("vfio_pci_core_enable"),
    observable: "sysfs",
  },
  "VFIO-PCI-POWER-7": {
    ...runtime,
    rule: "a function that its driver is letting go is woken up, and awake until it has done so, whatever its user allowed",
    source: "drivers/pci/pci-driver.c:pci_device_remove",
    observable: "sysfs",
  },
  "VFIO-PCI-WAKEUP-1": {
    rule: "the data must be readable",
    errno: "EFAULT",
    source: source("vfio_pci_core_pm_entry_with_wakeup"),
  },
  "VFIO-PCI-WAKEUP-2": {
    rule: "wakeup_eventfd must not be negative",
    errno: "EINVAL",
    source: source("vfio_pci_core_pm_entry_with_wakeup"),
  },
  "VFIO-PCI-WAKEUP-3": {
    rule: "wakeup_eventfd must be an open descriptor",
    errno: "EBADF",
    source: "fs/eventfd.c:eventfd_ctx_fdget",
  },
  "VFIO-PCI-WAKEUP-4": {
    rule: "wakeup_eventfd must be an eventfd",
    errno: "EINVAL",
    source: "fs/eventfd.c:eventfd_ctx_fdget",
  },
  "VFIO-PCI-WAKEUP-5": {
    ...runtime,
    rule: "a function that is woken up, by whatever call, signals the eventfd, and may go to low power no more",
    partial: true,
    source: header("ENTRY_WITH_WAKEUP"),
  },
  "VFIO-PCI-WAKEUP-6": {
    rule: "the eventfd is not signalled where low power is forbidden, or the device closed, before the function slept or by its closing",
    source: source("vfio_pci_core_disable"),
    observable: "later-call",
  },
});

const { SET } = FEATURE;
featureIoctl("LOW_POWER_ENTRY", SET, {});
featureIoctl("LOW_POWER_ENTRY_WITH_WAKEUP", SET, { wakeup_eventfd: field.fd("eventfd"), reserved: field.reserved32() });
featureIoctl("LOW_POWER_EXIT", SET, {});

/** vfio_pci_core_pm_entry */
const entry: Feature = {
  index: FEATURE_INDEX.LOW_POWER_ENTRY,
  *run(k, request): Operation<number> {
    if (!k.feature.check(k, request, SET, 0)) return 0;
    yield* k.vfioPci.allowLowPower(k, functionOf(request.device), null);
    return 0;
  },
};

/** vfio_pci_core_pm_entry_with_wakeup */
const entryWithWakeup: Feature = {
  index: FEATURE_INDEX.LOW_POWER_ENTRY_WITH_WAKEUP,
  *run(k, request): Operation<number> {
    if (!k.feature.check(k, request, SET, 8)) return 0;
    const { block } = request;
    block.copyFrom(FEATURE_HEADER + 8, rule["VFIO-PCI-WAKEUP-1"], FEATURE_HEADER);
    const fd = block.s32(FEATURE_HEADER);
    must(fd >= 0, rule["VFIO-PCI-WAKEUP-2"]);
    const wakeup = eventfdOf(k, fd, rule["VFIO-PCI-WAKEUP-3"], rule["VFIO-PCI-WAKEUP-4"]);
    yield* k.vfioPci.allowLowPower(k, functionOf(request.device), wakeup);
    wakeup.signalled = true;
    return 0;
  },
};

/** vfio_pci_core_pm_exit */
const exit: Feature = {
  index: FEATURE_INDEX.LOW_POWER_EXIT,
  *run(k, request): Operation<number> {
    if (!k.feature.check(k, request, SET, 0)) return 0;
    const pciFunction = functionOf(request.device);
    const { power } = pciFunction;
    using _ = yield* k.lock(locksOf(pciFunction).memory);
    if (power.wakeup) k.keeps(rule["VFIO-PCI-WAKEUP-6"]);
    power.disengage();
    pciFunction.hardware?.disturb();
    k.vfioPci.returnBuffers(k, pciFunction);
    k.keeps(rule["VFIO-PCI-POWER-3"]);
    return 0;
  },
};

export const lowPowerFeatures: readonly Feature[] = [entry, entryWithWakeup, exit];

export const steps = {
  /** vfio_pci_runtime_pm_entry: what may sleep lends nothing. */
  *allowLowPower(k: Kernel, pciFunction: PciFunction, wakeup: EventCounter | null): Operation<void> {
    using _ = yield* k.lock(locksOf(pciFunction).memory);
    must(!pciFunction.power.engaged, rule["VFIO-PCI-POWER-1"]);
    yield* k.vfioPci.takeBuffersBack(k, pciFunction);
    pciFunction.power.engage(wakeup);
    pciFunction.hardware?.disturb();
    k.keeps(rule["VFIO-PCI-POWER-2"]);
  },

  /** pm_runtime_resume_and_get: the function is in full power before anything is done with it. */
  resume(k: Kernel, pciFunction: PciFunction): void {
    k.vfioPci.mustBeThere(pciFunction);
    // Who takes it from its driver keeps it awake.
    if (!pciFunction.leaving) k.vfioPci.getUp(k, pciFunction);
  },

  /** pm_runtime_get_sync */
  getUp(k: Kernel, pciFunction: PciFunction): void {
    const { power } = pciFunction;
    if (!power.engaged || pciFunction.vfs.length > 0 || !k.has("PM")) return;
    if (power.asleep === null) {
      // Whether it had the time to fall asleep since the last call shows where sleeping leaves something behind.
      if (power.wakeup || k.vfioPci.losesBySleeping(k, pciFunction)) {
        throw new Unmodelled("whether a function that may sleep does so by now");
      }
      return;
    }
    k.keeps(rule["VFIO-PCI-POWER-5"]);
    k.vfioPci.wake(k, pciFunction);
  },

  /** vfio_pci_core_runtime_resume. It may fall asleep again as soon as the call is over. */
  wake(k: Kernel, pciFunction: PciFunction): void {
    const { power } = pciFunction;
    const { wakeup } = power;
    k.undo.push(() => {
      power.engage(wakeup);
      power.asleep = true;
    });
    power.asleep = null;
    if (!wakeup) return;
    if (wakeup.waiters.length > 0) throw new Unmodelled("an eventfd that has something done when a function wakes up");
    const { count } = wakeup;
    k.undo.push(() => {
      wakeup.count = count;
    });
    wakeup.signal();
    power.disengage();
    pciFunction.hardware?.disturb();
    k.vfioPci.returnWoken(k, pciFunction);
    k.keeps(rule["VFIO-PCI-WAKEUP-5"]);
  },

  /** Whether it shows of a function that it slept: it is in full power then, with the registers that are put back. */
  losesBySleeping(k: Kernel, pciFunction: PciFunction): boolean {
    const { config, strays } = pciFunction;
    if (config === null && strays.size === 0) return false;
    const space = k.vfioPci.configSpace(k, pciFunction);
    return space.powerState !== D0 || (strays.size > 0 && space.resetByD3);
  },

  /** vfio_pci_core_runtime_suspend and pci_finish_runtime_suspend: from whatever state into full power, and from there to D3hot. */
  sleep(k: Kernel, pciFunction: PciFunction): void {
    pciFunction.power.asleep = true;
    if (!k.vfioPci.losesBySleeping(k, pciFunction)) return;
    const space = k.vfioPci.configSpace(k, pciFunction);
    k.vfioPci.powerUp(k, pciFunction, space);
    if (space.resetByD3) noteReset(pciFunction);
  },

  /** runtime_status_show, once the function has had the time to fall asleep. */
  sleeps(k: Kernel, pciFunction: PciFunction): boolean {
    const { vfio, power, vfs } = pciFunction;
    if (!vfio) return false;
    if (pciFunction.leaving) {
      k.keeps(rule["VFIO-PCI-POWER-7"]);
      return false;
    }
    if (vfs.length > 0) {
      k.keeps(sriovRule["VFIO-PCI-SRIOV-5"]);
      return false;
    }
    if (vfio.openCount === 0) {
      k.keeps(rule["VFIO-PCI-POWER-6"]);
      return true;
    }
    if (!power.engaged) {
      k.keeps(rule["VFIO-PCI-POWER-6"]);
      return false;
    }
    if (!power.asleep) k.vfioPci.sleep(k, pciFunction);
    k.keeps(rule["VFIO-PCI-POWER-4"]);
    return true;
  },

  /** vfio_pci_core_disable: the function is awake from here on, and nobody is told. */
  endLowPower(k: Kernel, { power }: PciFunction): void {
    if (power.wakeup) k.keeps(rule["VFIO-PCI-WAKEUP-6"]);
    power.disengage();
  },
};
