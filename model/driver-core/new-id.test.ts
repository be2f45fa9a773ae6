import { beforeEach, describe, expect, it } from "vitest";
import { refusedForMemory } from "../kernel/alloc.ts";
import { Unmodelled } from "../kernel/operation.ts";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Attribute, Call } from "../program.ts";
import { MOCK_TOPOLOGY, REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import type { Topology } from "../topology.ts";
import { errnoName } from "../uapi/errno.ts";
import { parseId, undoing } from "./new-id.ts";
import { PCI_ANY_ID } from "./pci-id.ts";

const EDU = "1234 11e8";
const ANY = "ffffffff";

function boot(topology: Topology = REFERENCE_TOPOLOGY): Machine {
  const [profile] = [PROFILES["7.2"]];
  if (!profile) throw new Error("there is no profile 7.2");
  return new Machine({ topology, profile });
}

let machine: Machine;
beforeEach(() => {
  machine = boot();
});

const writing = (attribute: Attribute, text: string): Call => ({ op: "sysfs-write", attribute, text: { text } });

/** The bytes taken, or the errno. */
function write(attribute: Attribute, text: string): number | string {
  const { ret } = machine.step(writing(attribute, text));
  return ret < 0 ? errnoName(-ret) : ret;
}

const newId = (driver: string, text: string) => write({ kind: "new_id", driver }, text);
const removeId = (driver: string, text: string) => write({ kind: "remove_id", driver }, text);

/** Takes a function from vfio-pci and its override from it. */
function release(device: string): void {
  machine.step({ op: "sysfs-write", attribute: { kind: "unbind", driver: "vfio-pci" }, text: { device } });
  write({ kind: "driver_override", device }, "\n");
}

const driverOf = (device: string) => machine.k.functions.find(({ spec }) => spec.name === device)?.driver?.name ?? null;

describe("an id", () => {
  it("matches any subsystem and any class where it says nothing of them", () => {
    expect(parseId("8086 10d3")).toEqual({
      fields: 2,
      id: {
        vendor: 0x8086,
        device: 0x10d3,
        subvendor: PCI_ANY_ID,
        subdevice: PCI_ANY_ID,
        class: 0,
        classMask: 0,
        driverData: 0n,
        overrideOnly: false,
      },
    });
    expect(parseId("1 2 3 4 5 6 ffffffffffffffff 8")).toMatchObject({
      fields: 7,
      id: { subvendor: 3, subdevice: 4, class: 5, classMask: 6, driverData: 2n ** 64n - 1n },
    });
    expect(parseId("8086")).toBeNull();
  });

  it("is undone by its vendor and device, whatever else it says", () => {
    const attribute = { kind: "new_id", driver: "pci-stub" } as const;
    expect(undoing(writing(attribute, "0x8086 10D3 1 2 3 4 5\n"))).toEqual({ driver: "pci-stub", text: "8086 10d3" });
    expect(undoing(writing(attribute, "8086"))).toBeNull();
    expect(undoing(writing({ kind: "remove_id", driver: "pci-stub" }, EDU))).toBeNull();
  });
});

describe("new_id", () => {
  it("is refused for its form, then for what the driver has, then for its data", () => {
    expect(newId("nonesuch", EDU)).toBe("ENOENT");
    expect(newId("vfio-pci", "1234")).toBe("EINVAL");
    expect(newId("vfio-pci", EDU)).toBe(EDU.length);
    expect(newId("vfio-pci", `${EDU} 1 2 3 4`)).toBe("EEXIST");
    expect(newId("vfio-pci", `${EDU} 1 2 3 4 5`)).toBe("EINVAL");
    expect(newId("pci-stub", `${EDU} 1 2 3 4 5`)).toBe(EDU.length + 10);
    expect(newId("vfio-pci", "")).toBe(0);
  });

  it("gives the driver what matches and is free, and what is for it by name", () => {
    release("edu0");
    machine.step({ op: "sysfs-write", attribute: { kind: "unbind", driver: "vfio-pci" }, text: { device: "rooted0" } });
    expect(newId("vfio-pci", EDU)).toBeGreaterThan(0);
    expect(driverOf("edu0")).toBe("vfio-pci");
    expect(driverOf("rooted0")).toBe("vfio-pci");
  });

  it("leaves alone what is for another by name, and what the driver refuses", () => {
    machine = boot(MOCK_TOPOLOGY);
    expect(newId("pci-stub", EDU)).toBeGreaterThan(0);
    expect(driverOf("edu0")).toBeNull();
    write({ kind: "driver_override", device: "edu0" }, "\n");
    expect(newId("vfio-pci", EDU)).toBeGreaterThan(0);
    expect(driverOf("edu0")).toBeNull();
  });

  it("has no answer where it would be about what is not to be tested", () => {
    expect(() => newId("vfio-pci", "1b36 000e")).toThrow(Unmodelled);
    expect(newId("vfio-pci", "1b36 000c")).toBeGreaterThan(0);
    machine = boot({ ...REFERENCE_TOPOLOGY, wholeBus: false });
    expect(() => newId("vfio-pci", EDU)).toThrow(Unmodelled);
    expect(() => removeId("vfio-pci", EDU)).toThrow(Unmodelled);
    expect(machine.k.pciBus.dynids.size).toBe(0);
  });

  it("says nothing of functions where memory ran out and it succeeded", () => {
    const call = writing({ kind: "new_id", driver: "pci-stub" }, EDU);
    expect(() => refusedForMemory(call, EDU.length, undefined, new Set())).toThrow(Unmodelled);
    expect(refusedForMemory(call, -12, undefined, new Set())?.id).toBe("ALLOC-1");
  });
});

describe("remove_id", () => {
  it("takes the first that is meant, one at a time", () => {
    newId("pci-stub", `${EDU} 1 2`);
    newId("pci-stub", `${EDU} ${ANY} ${ANY} 0 0 7`);
    expect(removeId("pci-stub", `${EDU} 1 3`)).toBe("ENODEV");
    expect(removeId("pci-stub", EDU)).toBe(EDU.length);
    expect([...machine.k.pciBus.dynids.values()]).toMatchObject([[{ driverData: 7n }]]);
    expect(removeId("pci-stub", EDU)).toBe(EDU.length);
    expect(removeId("pci-stub", EDU)).toBe("ENODEV");
    expect(removeId("pci-stub", "1234")).toBe("EINVAL");
  });
});
