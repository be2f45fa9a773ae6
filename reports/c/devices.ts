/** The devices that a C program needs, what else must be there, and how things are put back afterwards. */

import { undoing } from "../../model/driver-core/new-id.ts";
import { fixedPath, queuePath } from "../../model/format/attribute-path.ts";
import { madeByText } from "../../model/mdev/mdev.ts";
import { restoringStores } from "../../model/pci/hardware.ts";
import type { Attribute, Call, Node, Program } from "../../model/program.ts";
import { busName, type Topology } from "../../model/topology.ts";
import type { Expectation } from "./expectations.ts";
import { cNumber, cString, type Names } from "./syntax.ts";

export interface Device {
  readonly name: string;
  readonly bus: "pci" | "mdev";
  readonly address: string;
  /** What a mediated device is that every program finds made. */
  readonly standing: { readonly parent: string; readonly type: string } | null;
}

/** Devices that the program names, functions that a group or a reset ties to them, and mediated devices it may count. */
export function devicesOf(program: Program, topology: Topology): Device[] {
  const named = new Set(program.calls.flatMap((call) => deviceNames(call, topology)));
  const used = topology.functions.filter(({ name }) => named.has(name));
  const functions = topology.functions.filter(
    (spec) =>
      named.has(spec.name) ||
      used.some(
        ({ group, resetScope }) =>
          (group >= 0 && group === spec.group) || (resetScope !== null && resetScope === spec.resetScope),
      ),
  );
  const others = [...named].filter((name) => !functions.some((spec) => spec.name === name));
  const counted = program.calls.some(countsMdevs) || topology.mdevs.some(({ name }) => named.has(name));
  const standing = counted ? topology.mdevs.filter((mdev) => mdev.standing !== null).map(({ name }) => name) : [];
  return [
    ...functions.map(({ name, address }): Device => ({ name, bus: "pci", address, standing: null })),
    ...[...new Set([...others, ...standing])].map((name): Device => {
      const spec = topology.mdevs.find((mdev) => mdev.name === name);
      return { name, bus: "mdev", address: busName(topology, name), standing: spec?.standing ?? null };
    }),
  ];
}

/** Whether what a call sees depends on which mediated devices there are. */
function countsMdevs(call: Call): boolean {
  if (call.op === "probe") return call.probe.kind === "mdevs" || call.probe.kind === "type-devices";
  const attribute = "attribute" in call ? call.attribute.kind : null;
  return attribute === "mdev-create" || attribute === "available_instances";
}

/** The mediated device that a call makes, or null. */
function madeBy(call: Call, topology: Topology): string | null {
  return call.op === "sysfs-write" && call.attribute.kind === "mdev-create" ? madeByText(topology, call.text) : null;
}

function deviceNames(call: Call, topology: Topology): string[] {
  const names: string[] = [];
  const add = (holder: object): void => {
    if ("device" in holder && typeof holder.device === "string") names.push(holder.device);
  };
  if ("node" in call) add(call.node);
  if ("attribute" in call) add(call.attribute);
  if ("text" in call) add(call.text);
  if ("probe" in call) add(call.probe);
  if (call.op === "ioctl") add(call.arg);
  const made = madeBy(call, topology);
  if (made !== null) names.push(made);
  return names;
}

export function deviceDefinitions(devices: readonly Device[], names: Names): string[] {
  const variables = devices.map(({ name, bus, address }) => {
    return `static struct device ${deviceVariable(name, names)} = { ${cString(name)}, ${cString(bus)}, ${cString(address)} };`;
  });
  const list = devices.map(({ name }) => `&${deviceVariable(name, names)}, `).join("");
  return [
    "struct device {\n\tconst char *name, *bus, *address;\n};\n",
    [...variables, `static struct device *const devices[] = { ${list}NULL };`].join("\n"),
  ];
}

export function deviceVariable(name: string, names: Names): string {
  return names.of(`device ${name}`, `dev_${name}`);
}

/** Checks that come before the first call, one expression each: what is missing, or NULL. */
export function requirements(
  { calls }: Program,
  expectations: readonly (Expectation | null)[],
  devices: readonly Device[],
  names: Names,
  topology: Topology,
): string[] {
  const checks = new Set<string>();
  const isFunction = new Set(devices.filter(({ bus }) => bus === "pci").map(({ name }) => name));
  for (const { name, bus, standing } of devices) {
    const variable = deviceVariable(name, names);
    if (bus === "pci") checks.add(`missing_function(&${variable})`);
    if (!standing) continue;
    checks.add(parentRequirement(standing.parent));
    const create = `/sys/class/mdev_bus/${standing.parent}/mdev_supported_types/${standing.type}/create`;
    checks.add(`standing_mdev(&${variable}, ${cString(create)})`);
  }
  if (calls.some(({ failNth }) => failNth !== undefined)) checks.add("missing_fail_nth()");
  for (const [index, call] of calls.entries()) {
    if ((expectations[index]?.ret ?? -1) < 0) continue;
    if (call.op === "open") for (const check of nodeRequirement(call.node, isFunction)) checks.add(check);
    if (call.op === "sysfs-write" && call.attribute.kind === "mdev-create") {
      checks.add(parentRequirement(call.attribute.parent));
      const made = madeBy(call, topology);
      // One that every program finds made was removed by it first.
      const stands = devices.some(({ name, standing }) => name === made && standing !== null);
      if (made !== null && !stands) checks.add(`occupied_mdev(&${deviceVariable(made, names)})`);
    }
  }
  return [...checks];
}

function parentRequirement(parent: string): string {
  const what = cString(`the sample driver ${parent} (CONFIG_SAMPLE_VFIO_MDEV_${parent.toUpperCase()})`);
  return `missing_path(${cString(`/sys/class/mdev_bus/${parent}`)}, ${what})`;
}

/** The directory of single devices' nodes comes with the first device, which may be one that the program makes. */
function nodeRequirement(node: Node, isFunction: ReadonlySet<string>): string[] {
  switch (node.kind) {
    case "container":
      return ['missing_path("/dev/vfio/vfio", "CONFIG_VFIO_CONTAINER and the vfio module")'];
    case "iommufd":
      return ['missing_path("/dev/iommu", "CONFIG_IOMMUFD")'];
    case "kvm":
      return ['missing_path("/dev/kvm", "KVM")'];
    case "cdev":
      if (!isFunction.has(node.device)) return [];
      return ['missing_path("/dev/vfio/devices", "CONFIG_VFIO_DEVICE_CDEV")'];
    case "wq":
      return [`missing_path(${cString(queuePath(node.queue))}, "a work queue of type user that is enabled")`];
    default:
      return [];
  }
}

/** Attributes that take the name of a function which may have another driver then. */
const REBINDING: ReadonlySet<Attribute["kind"]> = new Set(["bind", "unbind", "pci-bus"]);

/** Statements that undo what the program did to mediated devices and drivers. */
export function restoring({ calls }: Program, devices: readonly Device[], names: Names, topology: Topology): string[] {
  const statements = new Set<string>();
  // One for each id that was added: the same may have been added twice.
  const added: string[] = [];
  for (const call of calls) {
    if (call.op !== "sysfs-write" && call.op !== "start") continue;
    const { attribute, text } = call;
    const made = madeBy(call, topology);
    if (made !== null) statements.add(`remove_mdev(&${deviceVariable(made, names)});`);
    const ofBus = attribute.kind === "mdev-bus" || attribute.kind === "pci-bus";
    if (ofBus && attribute.file === "drivers_autoprobe") {
      statements.add(`write_file(${cString(fixedPath(attribute))}, "1");`);
    }
    const id = undoing(call);
    if (id) {
      const path = fixedPath({ kind: "remove_id", driver: id.driver });
      added.push(`write_file(${cString(path)}, ${cString(id.text)});`);
    }
    if (attribute.kind === "driver_override") {
      statements.add(`bind_again(&${deviceVariable(attribute.device, names)});`);
    }
    if (attribute.kind === "pci-device" && attribute.file === "remove") {
      statements.add('write_file("/sys/bus/pci/rescan", "1");');
      statements.add(`bind_again(&${deviceVariable(attribute.device, names)});`);
    }
    if (REBINDING.has(attribute.kind) && "device" in text) {
      statements.add(`bind_again(&${deviceVariable(text.device, names)});`);
    }
  }
  for (const { name, standing } of devices) {
    if (standing) statements.add(`if (!moved)\n\t\tremove_mdev(&${deviceVariable(name, names)});`);
  }
  if (calls.some(mayStore)) for (const line of storingBack(devices, names, topology)) statements.add(line);
  return [...added, ...statements];
}

/** Whether a call may store to registers that no reset puts back. */
function mayStore(call: Call): boolean {
  if (call.op === "ioctl") return call.request === "VFIO_DEVICE_IOEVENTFD";
  return call.op === "write" || call.op === "pwrite" || call.op === "store";
}

/** Stores that put registers back of hardware that the suite knows; of no other, where devices were moved. */
function* storingBack(devices: readonly Device[], names: Names, topology: Topology): Generator<string> {
  for (const { name } of devices) {
    const spec = topology.functions.find((each) => each.name === name);
    for (const { at, width, value, busyNs } of spec ? restoringStores(spec) : []) {
      const what = [
        `&${deviceVariable(name, names)}`,
        cNumber(at, 4, true),
        `${width}`,
        `${cNumber(value, 8, true)}UL`,
      ];
      yield `if (!moved)\n\t\tput_back(${what.join(", ")});`;
      if (busyNs !== undefined) yield `if (!moved)\n\t\tusleep(${busyNs / 1000});`;
    }
  }
}
