import { describe, expect, it } from "vitest";
import { Refusal } from "../kernel/clause.ts";
import { Blocked, type Operation, runStraight } from "../kernel/operation.ts";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Attribute, Call } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import { errnoName } from "../uapi/errno.ts";
import { madeByText, rule } from "./mdev.ts";
import type { Mdev, MdevParent } from "./objects.ts";

const UUID = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1000";
const MTTY1 = { parent: "mtty", type: "mtty-1" } as const;

function boot(): Machine {
  const profile = PROFILES["7.2"];
  if (!profile) throw new Error("there is no profile 7.2");
  return new Machine({ topology: REFERENCE_TOPOLOGY, profile });
}

const write = (attribute: Attribute, text: string): Call => ({ op: "sysfs-write", attribute, text: { text } });
const create = (text: string, type: { parent: string; type: string } = MTTY1): Call =>
  write({ kind: "mdev-create", ...type }, text);
const remove = (device: string, text = "1"): Call => write({ kind: "mdev-remove", device }, text);
const unbind = (driver: string, text: string): Call => write({ kind: "mdev-driver", driver, file: "unbind" }, text);
const read = (attribute: Attribute): Call => ({ op: "sysfs-read", attribute });
const available = (parent: string, type: string): Call => read({ kind: "available_instances", parent, type });

/** The outcome as people write it: bytes taken, or the errno. */
function outcome(machine: Machine, call: Call): number | string {
  const { ret } = machine.step(call);
  return ret < 0 ? errnoName(-ret) : ret;
}

function textOf(machine: Machine, call: Call): string | undefined {
  machine.step(call);
  return machine.answer.text;
}

describe("making a mediated device", () => {
  it.each([
    ["the UUID", UUID, 36],
    ["a newline behind it", `${UUID}\n`, 37],
    ["one more character, whatever it is", `${UUID}x`, 37],
    ["upper case", UUID.toUpperCase(), 36],
    ["nothing", "", 0],
    ["two newlines", `${UUID}\n\n`, "EINVAL"],
    ["a space before it", ` ${UUID}`, "EINVAL"],
    ["braces", `{${UUID}}`, "EINVAL"],
    ["no dashes", UUID.replaceAll("-", ""), "EINVAL"],
    ["a digit too few", UUID.slice(0, -1), "EINVAL"],
    ["a digit too few, and a newline", `${UUID.slice(0, -1)}\n`, "EINVAL"],
    ["no digit", `${UUID.slice(0, -1)}g`, "EINVAL"],
    ["a dash out of place", "83b8f4f25-09f-382f-3c1e-e6bfe0fa1000", "EINVAL"],
  ])("takes or refuses %s", (_what, text, right) => {
    const machine = boot();
    expect(outcome(machine, create(text))).toBe(right);
    expect(machine.k.mdevs.length).toBe(typeof right === "number" && right > 0 ? 3 : 2);
  });

  it("asks for the type, the text, the duplicate and the room, in this order", () => {
    const machine = boot();
    expect(outcome(machine, create("x", { parent: "mtty", type: "mtty-9" }))).toBe("ENOENT");
    for (const parent of machine.k.mdevParents) parent.free = 0;
    expect(outcome(machine, create("x"))).toBe("EINVAL");
    const taken = REFERENCE_TOPOLOGY.mdevs[0]?.uuid ?? "";
    for (const type of [MTTY1, { parent: "mdpy", type: "mdpy-vga" }]) {
      expect(outcome(machine, create(taken, type))).toBe("EEXIST");
    }
    expect(outcome(machine, create(UUID))).toBe("ENOSPC");
    expect(outcome(machine, create(UUID, { parent: "mdpy", type: "mdpy-hd" }))).toBe("EUSERS");
    expect(machine.k.mdevs.length).toBe(2);
  });

  it("counts ports of mtty and devices of mdpy", () => {
    const machine = boot();
    expect(textOf(machine, available("mtty", "mtty-2"))).toBe("11\n");
    machine.step(create(UUID, { parent: "mtty", type: "mtty-2" }));
    expect(textOf(machine, available("mtty", "mtty-1"))).toBe("21\n");
    expect(textOf(machine, available("mtty", "mtty-2"))).toBe("10\n");
    expect(textOf(machine, available("mdpy", "mdpy-hd"))).toBe("3\n");
  });

  it("names what it makes by the topology's name, or the UUID in lower case", () => {
    expect(madeByText(REFERENCE_TOPOLOGY, { text: `${UUID.toUpperCase()}\n` })).toBe("mdev0");
    expect(madeByText(REFERENCE_TOPOLOGY, { device: "mdev1" })).toBe("mdev1");
    const other = "0D0E0A0D-0000-4000-8000-000000000001";
    expect(madeByText(REFERENCE_TOPOLOGY, { text: other })).toBe(other.toLowerCase());
    expect(madeByText(REFERENCE_TOPOLOGY, { text: `${UUID}\n\n` })).toBeNull();
  });
});

describe("removing it", () => {
  it("takes a number only, and 0 removes nothing", () => {
    const machine = boot();
    machine.step(create(UUID));
    for (const text of ["", "0", "00\n"]) expect(outcome(machine, remove("mdev0", text))).toBe(text.length);
    for (const text of ["x", "-1", " 1", "\n"]) expect(outcome(machine, remove("mdev0", text))).toBe("EINVAL");
    expect(outcome(machine, remove("mdev0", "0x10\n"))).toBe(5);
    expect(outcome(machine, remove("mdev0"))).toBe("ENOENT");
  });

  it("waits for its files, not for its group's", () => {
    const machine = boot();
    machine.step(create(UUID));
    machine.step({ op: "open", node: { kind: "cdev", device: "mdev0" }, as: "@device" });
    expect(() => machine.step(remove("mdev0"))).toThrow(Blocked);
    expect(() => machine.step(unbind("mtty", UUID))).toThrow(Blocked);
    machine.step({ op: "close", fd: "@device" });
    machine.step({ op: "open", node: { kind: "group", device: "mdev0" }, as: "@group" });
    expect(outcome(machine, remove("mdev0"))).toBe(1);
  });
});

describe("the driver of a mediated device", () => {
  it("can be taken from it, and not be given back", () => {
    const machine = boot();
    machine.step(create(UUID));
    expect(outcome(machine, unbind("mdpy", UUID))).toBe("ENODEV");
    expect(outcome(machine, unbind("mtty", UUID.toUpperCase().replace("83B8", "83b8")))).toBe("ENODEV");
    expect(outcome(machine, unbind("vfio-pci", UUID))).toBe("ENOENT");
    expect(outcome(machine, unbind("mtty", `${UUID}\n`))).toBe(37);
    expect(outcome(machine, unbind("mtty", UUID))).toBe("ENODEV");
    expect(outcome(machine, write({ kind: "mdev-driver", driver: "mtty", file: "bind" }, UUID))).toBe("ENODEV");
    expect(outcome(machine, write({ kind: "mdev-bus", file: "drivers_probe" }, UUID))).toBe(36);
    for (const kind of ["driver", "group-node", "cdev-node", "group-members"] as const) {
      expect(outcome(machine, { op: "probe", probe: { kind, device: "mdev0" } })).toBe("ENOENT");
    }
    expect(textOf(machine, { op: "probe", probe: { kind: "mdev-type", device: "mdev0" } })).toBe("mtty-1");
    expect(outcome(machine, create(UUID))).toBe("EEXIST");
    expect(outcome(machine, remove("mdev0"))).toBe(1);
    expect(outcome(machine, create(UUID))).toBe(36);
  });

  it("gives back what it counts itself, and leaves to the core what that counts", () => {
    const machine = boot();
    machine.step(create(UUID));
    machine.step(unbind("mtty", UUID));
    expect(textOf(machine, available("mtty", "mtty-1"))).toBe("23\n");
    machine.step(remove("mdev0"));
    expect(textOf(machine, available("mtty", "mtty-1"))).toBe("23\n");
    machine.step(create(UUID, { parent: "mdpy", type: "mdpy-vga" }));
    machine.step(unbind("mdpy", UUID));
    expect(textOf(machine, available("mdpy", "mdpy-vga"))).toBe("2\n");
    machine.step(remove("mdev0"));
    expect(textOf(machine, available("mdpy", "mdpy-vga"))).toBe("3\n");
  });
});

describe("what sysfs shows", () => {
  it("of a type, as far as its driver says it", () => {
    const machine = boot();
    const file = (type: string, name: "name" | "description" | "device_api"): Attribute => {
      return { kind: "mdev-type", parent: type.split("-")[0] ?? "", type, file: name };
    };
    expect(textOf(machine, read(file("mtty-2", "name")))).toBe("Dual port serial\n");
    expect(textOf(machine, read(file("mdpy-xga", "description")))).toBe("virtual display, 1024x768 framebuffer\n");
    expect(textOf(machine, read(file("mdpy-xga", "device_api")))).toBe("vfio-pci\n");
    expect(outcome(machine, read(file("mtty-2", "description")))).toBe("ENOENT");
    expect(outcome(machine, write(file("mtty-2", "description"), "x"))).toBe("ENOENT");
    expect(outcome(machine, write(file("mtty-2", "name"), "x"))).toBe("EACCES");
    expect(outcome(machine, read({ kind: "mdev-create", ...MTTY1 }))).toBe("EACCES");
    expect(outcome(machine, read({ kind: "mdev-remove", device: "mdev0" }))).toBe("ENOENT");
    machine.step(create(UUID));
    expect(outcome(machine, read({ kind: "mdev-remove", device: "mdev0" }))).toBe("EACCES");
  });

  it("of the bus", () => {
    const machine = boot();
    const autoprobe = { kind: "mdev-bus", file: "drivers_autoprobe" } as const;
    expect(textOf(machine, read(autoprobe))).toBe("1\n");
    expect(outcome(machine, write(autoprobe, "0x1"))).toBe(3);
    expect(textOf(machine, read(autoprobe))).toBe("0\n");
    expect(outcome(machine, create(UUID))).toBe(36);
    expect(textOf(machine, { op: "probe", probe: { kind: "driver", device: "mdev0" } })).toBe("mtty");
  });
});

/** The clause that refuses an operation. */
function refusalOf(operation: Operation<unknown>): unknown {
  try {
    runStraight(operation);
  } catch (thrown) {
    return thrown instanceof Refusal ? thrown.clause : thrown;
  }
  return undefined;
}

// Built-in drivers keep their parents for good, so that no program can get here.
describe("a parent that goes", () => {
  function parentOf(machine: Machine): MdevParent {
    const [parent] = machine.k.mdevParents;
    if (!parent) throw new Error("there is no parent");
    return parent;
  }
  function mdev(machine: Machine, name: string): Mdev {
    const found = machine.k.mdevs.find((candidate) => candidate.name === name);
    if (!found) throw new Error(`there is no ${name}`);
    return found;
  }

  it("takes its devices and types with it", () => {
    const machine = boot();
    machine.step(create(UUID));
    runStraight(machine.k.mdev.unregisterParent(machine.k, parentOf(machine)));
    expect(machine.k.mdevs.map(({ name }) => name)).toEqual(["mdpy0"]);
    expect(outcome(machine, create(UUID))).toBe("ENOENT");
    expect(machine.k.task.held).toEqual([]);
  });

  it("waits for files of its devices before anything is done", () => {
    const machine = boot();
    machine.step({ op: "open", node: { kind: "cdev", device: "mtty0" }, as: "@device" });
    expect(() => runStraight(machine.k.mdev.unregisterParent(machine.k, parentOf(machine)))).toThrow(Blocked);
    expect(outcome(machine, create(UUID))).toBe(36);
  });

  it("has nothing made of it or removed meanwhile", () => {
    const machine = boot();
    const { k } = machine;
    const parent = parentOf(machine);
    k.task.preemptible = true;
    const going = k.mdev.unregisterParent(k, parent);
    going.next();
    going.next();
    k.task.preemptible = false;
    expect(refusalOf(k.mdev.create(k, "mtty", "mtty-1", UUID))).toBe(rule["MDEV-PARENT-2"]);
    expect(refusalOf(k.mdev.removeDevice(k, mdev(machine, "mtty0")))).toBe(rule["MDEV-PARENT-3"]);
    expect(k.mdevs.length).toBe(2);
    expect(parent.free).toBe(23);
  });

  it("has no part in a device that another task is still making", () => {
    const machine = boot();
    const { k } = machine;
    k.task.preemptible = true;
    const making = k.mdev.create(k, "mtty", "mtty-1", UUID);
    // About to take the list's lock, then unreg_sem, then the device's.
    for (let at = 0; at < 3; at++) making.next();
    k.task.preemptible = false;
    expect(refusalOf(k.mdev.removeDevice(k, mdev(machine, "mdev0")))).toBe(rule["MDEV-REMOVE-4"]);
  });
});
