/** The devices that a C program needs, what else must be there, and how things are put back afterwards. */
import type { Call, Program } from "../../model/program.ts";
import { busName, type Topology } from "../../model/topology.ts";
import type { Expectation } from "./expectations.ts";
import { cString, type Names } from "./syntax.ts";

export interface Device {
  readonly name: string;
  readonly bus: "pci" | "mdev";
  readonly address: string;
}

/** Devices that the program names, and functions that a group or a reset ties to them. */
export function devicesOf({ calls }: Program, topology: Topology): Device[] {
  const named = new Set(calls.flatMap(deviceNames));
  const used = topology.functions.filter(({ name }) => named.has(name));
  const tied = topology.functions.filter(
    (spec) =>
      named.has(spec.name) ||
      used.some(
        ({ group, resetScope }) => group === spec.group || (resetScope !== null && resetScope === spec.resetScope),
      ),
  );
  const functions = tied.map(({ name, address }): Device => ({ name, bus: "pci", address }));
  const others = [...named].filter((name) => !functions.some((device) => device.name === name));
  return [...functions, ...others.map((name): Device => ({ name, bus: "mdev", address: busName(topology, name) }))];
}

function deviceNames(call: Call): string[] {
  const names: string[] = [];
  const add = (holder: object): void => {
    if ("device" in holder && typeof holder.device === "string") names.push(holder.device);
  };
  if ("node" in call) add(call.node);
  if ("attribute" in call) add(call.attribute);
  if ("text" in call) add(call.text);
  if ("probe" in call) add(call.probe);
  if (call.op === "ioctl") add(call.arg);
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
): string[] {
  const checks = new Set<string>();
  for (const { name, bus } of devices) {
    if (bus === "pci") checks.add(`missing_function(&${deviceVariable(name, names)})`);
  }
  for (const [index, call] of calls.entries()) {
    if ((expectations[index]?.ret ?? -1) < 0) continue;
    if (call.op === "open") for (const check of nodeRequirement(call.node.kind)) checks.add(check);
    if (call.op === "sysfs-write" && call.attribute.kind === "mdev-create") {
      const { parent } = call.attribute;
      const what = cString(`the sample driver ${parent} (CONFIG_SAMPLE_VFIO_MDEV_${parent.toUpperCase()})`);
      checks.add(`missing_path(${cString(`/sys/class/mdev_bus/${parent}`)}, ${what})`);
      if ("device" in call.text) checks.add(`occupied_mdev(&${deviceVariable(call.text.device, names)})`);
    }
  }
  return [...checks];
}

function nodeRequirement(kind: string): string[] {
  switch (kind) {
    case "container":
      return ['missing_path("/dev/vfio/vfio", "CONFIG_VFIO_CONTAINER and the vfio module")'];
    case "iommufd":
      return ['missing_path("/dev/iommu", "CONFIG_IOMMUFD")'];
    case "kvm":
      return ['missing_path("/dev/kvm", "KVM")'];
    case "cdev":
      return ['missing_path("/dev/vfio/devices", "CONFIG_VFIO_DEVICE_CDEV")'];
    default:
      return [];
  }
}

/** Statements that undo what the program did to mediated devices and drivers. */
export function restoring({ calls }: Program, names: Names): string[] {
  const statements = new Set<string>();
  for (const call of calls) {
    if (call.op !== "sysfs-write") continue;
    const { attribute, text } = call;
    if (attribute.kind === "mdev-create" && "device" in text) {
      statements.add(`remove_mdev(&${deviceVariable(text.device, names)});`);
    }
    if (attribute.kind === "driver_override") {
      statements.add(`bind_again(&${deviceVariable(attribute.device, names)});`);
    }
    if ((attribute.kind === "bind" || attribute.kind === "unbind") && "device" in text) {
      statements.add(`bind_again(&${deviceVariable(text.device, names)});`);
    }
  }
  return [...statements];
}
