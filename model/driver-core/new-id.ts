/** Ids that user space adds to drivers of the PCI bus, and takes away. Beside drivers/pci/pci-driver.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { Call } from "../program.ts";
import type { PciDriver } from "./pci-driver.ts";
import { type FunctionId, isMeantBy, matchesOne, type PciDeviceId, pciDevice } from "./pci-id.ts";
import { scanHexadecimal, taken } from "./sysfs-text.ts";

const source = (name: string) => `drivers/pci/pci-driver.c:${name}`;

export const rule = clauses({
  "PCI-NEWID-1": {
    rule: "the text must begin with two hexadecimal numbers, the vendor and the device",
    errno: "EINVAL",
    source: "Documentation/ABI/testing/sysfs-bus-pci:new_id",
  },
  "PCI-NEWID-2": {
    rule: "unless it brings private data, an id that the driver matches without an override already can't be added",
    errno: "EEXIST",
    source: source("new_id_store"),
  },
  "PCI-NEWID-3": {
    rule: "private data, 0 unless given, must be that of an entry of the driver's table, where it has one",
    errno: "EINVAL",
    source: source("new_id_store"),
  },
  "PCI-NEWID-4": {
    rule: "the whole text is taken, and the driver matches functions of that id from now on; what is not given matches any",
    source: "Documentation/ABI/testing/sysfs-bus-pci:new_id",
    observable: "later-call",
  },
  "PCI-NEWID-5": {
    rule: "the driver gets every function at once that it matches and that has no driver; of those that it can't have nobody is told",
    source: "Documentation/ABI/testing/sysfs-bus-pci:new_id",
    observable: "sysfs",
  },
  "PCI-REMOVEID-1": {
    rule: "the text must begin with two hexadecimal numbers, the vendor and the device",
    errno: "EINVAL",
    source: "Documentation/ABI/testing/sysfs-bus-pci:remove_id",
  },
  "PCI-REMOVEID-2": {
    rule: "an id with that vendor and device, and the subsystem and class if given, must have been added to the driver",
    errno: "ENODEV",
    source: source("remove_id_store"),
  },
  "PCI-REMOVEID-3": {
    rule: "the whole text is taken, and the first such id is gone; what is bound stays bound",
    source: "Documentation/ABI/testing/sysfs-bus-pci:remove_id",
    observable: "later-call",
  },
});

/** Numbers of an id with everything. */
const ALL_FIELDS = 7;

/** An id as text, and how many numbers of it were given; null where it lacks vendor or device. */
export function parseId(text: string): { readonly id: PciDeviceId; readonly fields: number } | null {
  const numbers = scanHexadecimal(text, ALL_FIELDS);
  const [vendor, device, subvendor, subdevice, itsClass, classMask, driverData] = numbers;
  if (vendor === undefined || device === undefined) return null;
  if (numbers.some((number) => number >= 1n << 64n)) throw new Unmodelled("numbers of more than 64 bits");
  const any = pciDevice(word(vendor), word(device));
  const id = {
    ...any,
    subvendor: word(subvendor) ?? any.subvendor,
    subdevice: word(subdevice) ?? any.subdevice,
    class: word(itsClass) ?? any.class,
    classMask: word(classMask) ?? any.classMask,
    driverData: driverData ?? any.driverData,
  };
  return { id, fields: numbers.length };
}

/** What takes away the id that a call may have added: whose it is, and the text for remove_id; null where it adds none. */
export function undoing(call: Call): { readonly driver: string; readonly text: string } | null {
  if (call.op !== "sysfs-write" || call.attribute.kind !== "new_id" || !("text" in call.text)) return null;
  const [vendor, device] = scanHexadecimal(taken(call.text.text), 2);
  if (vendor === undefined || device === undefined) return null;
  return { driver: call.attribute.driver, text: `${word(vendor).toString(16)} ${word(device).toString(16)}` };
}

/** What of a number fits an unsigned int. */
function word(number: bigint): number;
function word(number: bigint | undefined): number | undefined;
function word(number: bigint | undefined): number | undefined {
  return number === undefined ? undefined : Number(number & 0xffff_ffffn);
}

export const newIdSteps = {
  /** new_id_store */
  *newId(k: Kernel, name: string, text: string): Operation<number> {
    const driver = k.driverCore.findDriver(k, name);
    const written = taken(text);
    if (written.length === 0) return 0;
    const parsed = parseId(written);
    must(parsed !== null, rule["PCI-NEWID-1"]);
    const { id, fields } = parsed;
    if (fields !== ALL_FIELDS) must(!k.driverCore.knowsId(k, driver, id), rule["PCI-NEWID-2"]);
    if (!driver.takesAny) throw new Unmodelled(`ids that are added to ${driver.name}`);
    const table = driver.idTable;
    must(!table || table.some(({ driverData }) => driverData === id.driverData), rule["PCI-NEWID-3"]);
    k.driverCore.knowsWhatMatches(k, id);
    k.alloc();
    k.driverCore.addId(k, driver, id);
    k.keeps(rule["PCI-NEWID-4"]);
    yield* k.driverCore.attachDriver(k, driver);
    k.keeps(rule["PCI-NEWID-5"]);
    return written.length;
  },

  /** Whether a driver needs no telling of an id. */
  knowsId(k: Kernel, driver: PciDriver, id: FunctionId): boolean {
    return k.driverCore.hasId(k, driver, id);
  },

  /** Whether a driver matches by an id that was added or is of its table, without an override. */
  hasId(k: Kernel, driver: PciDriver, id: FunctionId): boolean {
    return k.driverCore.wasTold(k, driver, id) || k.driverCore.inTable(k, driver, id);
  },

  wasTold({ pciBus }: Kernel, driver: PciDriver, id: FunctionId): boolean {
    return pciBus.dynids.get(driver)?.some((added) => matchesOne(added, id)) ?? false;
  },

  /** do_pci_match_id: entries for overrides only do not count. */
  inTable(_k: Kernel, { idTable }: PciDriver, id: FunctionId): boolean {
    return idTable?.some((entry) => !entry.overrideOnly && matchesOne(entry, id)) ?? false;
  },

  addId({ pciBus }: Kernel, driver: PciDriver, id: PciDeviceId): void {
    const added = pciBus.dynids.get(driver);
    if (added) added.push(id);
    else pciBus.dynids.set(driver, [id]);
  },

  /** A driver must get none of what is not to be tested: it would stay with it. */
  knowsWhatMatches({ topology, functions }: Kernel, id: PciDeviceId): void {
    if (!topology.wholeBus) throw new Unmodelled("ids of drivers on a bus with other devices");
    if (functions.some(({ leaving }) => leaving)) throw new Unmodelled("ids that may be of a function which leaves");
    for (const { id: own, bound } of topology.bridges) {
      if (!bound && (own === null || matchesOne(id, own))) throw new Unmodelled("ids that match a bridge");
    }
  },

  /** remove_id_store */
  removeId(k: Kernel, name: string, text: string): number {
    const driver = k.driverCore.findDriver(k, name);
    const written = taken(text);
    if (written.length === 0) return 0;
    const parsed = parseId(written);
    must(parsed !== null, rule["PCI-REMOVEID-1"]);
    if (!k.topology.wholeBus) throw new Unmodelled("ids of drivers on a bus with other devices");
    must(k.driverCore.dropId(k, driver, parsed.id), rule["PCI-REMOVEID-2"]);
    k.keeps(rule["PCI-REMOVEID-3"]);
    return written.length;
  },

  /** Takes away the first id that is meant; whether there was one. */
  dropId({ pciBus }: Kernel, driver: PciDriver, id: PciDeviceId): boolean {
    const added = pciBus.dynids.get(driver) ?? [];
    const at = added.findIndex((candidate) => isMeantBy(id, candidate));
    if (at >= 0) added.splice(at, 1);
    return at >= 0;
  },
};
