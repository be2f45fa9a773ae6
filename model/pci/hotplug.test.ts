import { beforeEach, describe, expect, it } from "vitest";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Attribute } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import { errnoName } from "../uapi/errno.ts";

let machine: Machine;
beforeEach(() => {
  const [profile] = [PROFILES["7.2"]];
  if (!profile) throw new Error("there is no profile 7.2");
  machine = new Machine({ topology: REFERENCE_TOPOLOGY, profile });
});

/** The bytes taken, or the errno. */
function write(attribute: Attribute, text = "1"): number | string {
  const { ret } = machine.step({ op: "sysfs-write", attribute, text: { text } });
  return ret < 0 ? errnoName(-ret) : ret;
}

const remove = (device: string) => write({ kind: "pci-device", device, file: "remove" });
const rescanAll = () => write({ kind: "pci-bus", file: "rescan" });
const rescanAt = (device: string) => write({ kind: "pci-device", device, file: "rescan" });

const find = (name: string) => machine.k.functions.find(({ spec }) => spec.name === name);
const groupOf = (name: string) => find(name)?.group?.id;

describe("a function that was removed", () => {
  it("is found where it was, in a group with the same mates, whichever of a slot went first", () => {
    for (const gone of [["nic0.0"], ["nic0.1"], ["nic0.0", "nic0.1"], ["nic0.1", "nic0.0"]]) {
      for (const name of gone) expect(remove(name)).toBe(1);
      for (const name of gone) expect(find(name)).toBeUndefined();
      expect(rescanAll()).toBe(1);
      expect(groupOf("nic0.0")).toBeDefined();
      expect(groupOf("nic0.1")).toBe(groupOf("nic0.0"));
      expect(machine.k.removed.functions).toEqual([]);
    }
  });

  it("joins the function that a bridge can't tell it from", () => {
    remove("bridged0");
    remove("bridged1");
    rescanAll();
    expect(groupOf("bridged0")).toBe(groupOf("bridged1"));
  });

  it("is found in the order of the places, if several are: lower numbers go to lower buses", () => {
    remove("rooted0");
    remove("edu0");
    // The bridge is on the root bus, where edu0 is as well.
    write({ kind: "pci-bridge", device: "rooted0", file: "rescan" });
    expect(groupOf("edu0")).toBeLessThan(groupOf("rooted0") ?? -1);
  });

  it("is not found by a rescan of another bus", () => {
    remove("edu0");
    expect(rescanAt("nic0.0")).toBe(1);
    expect(find("edu0")).toBeUndefined();
    expect(rescanAt("rooted0")).toBe(1);
    expect(find("edu0")).toBeUndefined();
  });

  it("is a new device: of an override and a driver nothing is left, of its hardware everything", () => {
    const before = find("edu0");
    expect(before?.driverOverride).toBe("vfio-pci");
    remove("edu0");
    rescanAll();
    const after = find("edu0");
    expect(after).not.toBe(before);
    expect([after?.driver, after?.driverOverride]).toEqual([null, null]);
    expect(after?.hardware).toBe(before?.hardware);
  });

  it("is there once, however often it is looked for", () => {
    remove("edu0");
    rescanAll();
    rescanAll();
    expect(machine.k.functions.filter(({ spec }) => spec.name === "edu0")).toHaveLength(1);
    expect(remove("edu0")).toBe(1);
    expect(remove("edu0")).toBe("ENOENT");
  });
});
