/**
 * The auxiliary bus: parts of what a PCI driver does, as devices of their own, each with a driver of its own. Beside
 * drivers/base/auxiliary.c and Documentation/driver-api/auxiliary_bus.rst.
 *
 * Its devices here are those of a design for VFIO that was not taken: "[PATCH v2 0/9] Introduce vfio-pci-core subsystem",
 * kvm@vger.kernel.org, 1 February 2021, <20210201162828.5938-1-mgurtovoy@nvidia.com>. See mlx5-managed.ts for both sides of it.
 */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import type { PciFunction } from "../pci/function.ts";
import type { FunctionSpec } from "../topology.ts";
import { names, taken } from "./sysfs-text.ts";

/** Only a machine with such functions has auxiliary devices of VFIO. */
const MANAGED = { machine: "managed", observable: "sysfs" } as const;

export const rule = clauses({
  "AUX-NAME-1": {
    ...MANAGED,
    rule: "a device is called by its module, its name and its number; of VFIO's the number is the function's: bus, device and function as one",
    source: "drivers/base/auxiliary.c:__auxiliary_device_add",
  },
  "AUX-LIFE-1": {
    ...MANAGED,
    rule: "devices come with the driver of their parent, and get a driver that matches at once",
    source: "include/linux/auxiliary_bus.h:DEVICE_LIFESPAN",
  },
  "AUX-LIFE-2": {
    ...MANAGED,
    rule: "devices lose their drivers and go before the driver of their parent does",
    source: "include/linux/auxiliary_bus.h:DEVICE_LIFESPAN",
  },
  "AUX-BIND-1": {
    machine: "managed",
    rule: "the text must be the name of a device on the bus, one newline at its end not counted",
    errno: "ENODEV",
    source: "drivers/base/bus.c:bind_store",
  },
  "AUX-BIND-2": {
    machine: "managed",
    rule: "what the device is called before its number must be in the driver's table, whole",
    errno: "ENODEV",
    source: "drivers/base/auxiliary.c:auxiliary_match_id",
  },
  "AUX-BIND-3": {
    machine: "managed",
    rule: "a device that has a driver can't get another, nor the same again",
    errno: "EBUSY",
    source: "drivers/base/dd.c:__driver_probe_device",
  },
  "AUX-BIND-4": {
    ...MANAGED,
    rule: "the whole text is taken, and the device belongs to the driver",
    source: "drivers/base/bus.c:bind_store",
  },
  "AUX-UNBIND-1": {
    machine: "managed",
    rule: "the text must be the name of a device that has this driver",
    errno: "ENODEV",
    source: "drivers/base/bus.c:unbind_store",
  },
  "AUX-UNBIND-2": {
    ...MANAGED,
    rule: "the whole text is taken, and the device has no driver and stays",
    source: "drivers/base/bus.c:unbind_store",
  },
});

/** struct auxiliary_driver */
export interface AuxiliaryDriver {
  /** As sysfs has it: the module's name and its own. */
  readonly name: string;
  /** What devices are called before their number. */
  readonly idTable: readonly string[];
}

/** The drivers of the bus: VFIO's for what mlx5_core manages, and one for what it does not make here. */
export const AUXILIARY_DRIVERS: readonly AuxiliaryDriver[] = [
  { name: "mlx5_vfio_pci.vfio_pci_ex", idTable: ["mlx5_core.vfio_pci"] },
  { name: "mlx5_ib.rdma", idTable: ["mlx5_core.rdma"] },
];

/** The PCI driver of the same module, as the series has it; what was taken a year later is called mlx5_vfio_pci. */
export const MANAGED_VFIO = "mlx5-vfio-pci";

const deviceLock = new LockClass("device_lock of an auxiliary device");

/** struct auxiliary_device */
export class AuxiliaryDevice {
  readonly name: string;
  readonly id: number;
  /** Whose driver has made it. */
  readonly parent: PciFunction;
  driver: AuxiliaryDriver | null = null;
  readonly lock = new Lock(deviceLock);

  constructor(match: string, id: number, parent: PciFunction) {
    this.name = `${match}.${id}`;
    this.id = id;
    this.parent = parent;
  }
}

/** auxiliary_match_id */
export function matchesAuxiliary({ idTable }: AuxiliaryDriver, name: string): boolean {
  const dot = name.lastIndexOf(".");
  return dot >= 0 && idTable.includes(name.slice(0, dot));
}

/** pci_dev_id: a function's place in its segment as one number. 08:00.0 is 2048. */
export function pciDevId({ bus, devfn }: Pick<FunctionSpec, "bus" | "devfn">): number {
  return (bus << 8) | devfn;
}

export const auxiliarySteps = {
  /** auxiliary_device_init and auxiliary_device_add */
  *addAuxiliary(k: Kernel, match: string, id: number, parent: PciFunction): Operation<void> {
    const device = new AuxiliaryDevice(match, id, parent);
    k.auxiliaries.push(device);
    k.keeps(rule["AUX-NAME-1"]);
    using _ = yield* k.lock(device.lock);
    device.driver = AUXILIARY_DRIVERS.find((driver) => matchesAuxiliary(driver, device.name)) ?? null;
    k.keeps(rule["AUX-LIFE-1"]);
  },

  /** auxiliary_device_delete and auxiliary_device_uninit, of all that a parent's driver has made. */
  *deleteAuxiliaries(k: Kernel, parent: PciFunction): Operation<void> {
    const devices = k.auxiliaries.filter((device) => device.parent === parent);
    for (const device of devices) k.driverCore.leavesNobody(k, device);
    for (const device of devices.reverse()) {
      using _ = yield* k.lock(device.lock);
      device.driver = null;
      k.auxiliaries.splice(k.auxiliaries.indexOf(device), 1);
      k.keeps(rule["AUX-LIFE-2"]);
    }
  },

  /** bind_store */
  *bindAuxiliary(k: Kernel, name: string, text: string): Operation<number> {
    const driver = k.driverCore.findAuxiliaryDriver(k, name);
    const written = taken(text);
    if (written.length === 0) return 0;
    const device = k.auxiliaries.find((candidate) => names(written, candidate.name));
    must(device !== undefined, rule["AUX-BIND-1"]);
    must(matchesAuxiliary(driver, device.name), rule["AUX-BIND-2"]);
    using _ = yield* k.lock(device.lock);
    must(device.driver === null, rule["AUX-BIND-3"]);
    device.driver = driver;
    k.keeps(rule["AUX-BIND-4"]);
    return written.length;
  },

  /** unbind_store */
  *unbindAuxiliary(k: Kernel, name: string, text: string): Operation<number> {
    const driver = k.driverCore.findAuxiliaryDriver(k, name);
    const written = taken(text);
    if (written.length === 0) return 0;
    const device = k.auxiliaries.find((candidate) => names(written, candidate.name));
    must(device?.driver === driver, rule["AUX-UNBIND-1"]);
    k.driverCore.leavesNobody(k, device);
    using _ = yield* k.lock(device.lock);
    device.driver = null;
    k.keeps(rule["AUX-UNBIND-2"]);
    return written.length;
  },

  /** The driver behind a directory of the bus. */
  findAuxiliaryDriver({ topology }: Kernel, name: string): AuxiliaryDriver {
    const driver = topology.managed.length > 0 ? AUXILIARY_DRIVERS.find((each) => each.name === name) : undefined;
    must(driver !== undefined, vfsRule["VFS-OPEN-1"]);
    return driver;
  },

  /** mlx5_vfio_pci_find_adev: whether VFIO's driver has the auxiliary device of a function. */
  isManaged({ auxiliaries }: Kernel, { spec }: PciFunction): boolean {
    return auxiliaries.some(({ driver, id }) => driver !== null && id === pciDevId(spec));
  },

  /** What becomes of a VFIO device that loses its auxiliary device the series leaves open: see mlx5_vfio_pci_aux_remove there. */
  leavesNobody(k: Kernel, { id, driver }: AuxiliaryDevice): void {
    const user = driver && k.functions.find(({ spec }) => pciDevId(spec) === id);
    if (user?.driver?.name === MANAGED_VFIO) throw new Unmodelled("a VFIO device that loses its auxiliary device");
  },
};
