import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Machine } from "../machine.ts";
import { MANAGED_TOPOLOGY } from "../managed-topology.ts";
import { PROFILES } from "../profile.ts";
import type { Call } from "../program.ts";
import { AUXILIARY_DRIVERS, AuxiliaryDevice, matchesAuxiliary, pciDevId } from "./auxiliary.ts";

function boot(): Machine {
  const [profile] = [PROFILES["7.2"]];
  if (!profile) throw new Error("there is no profile 7.2");
  return new Machine({ topology: MANAGED_TOPOLOGY, profile });
}

/** Gives a function to the driver that manages others. */
function manage(machine: Machine, device: string): void {
  const write = (call: Omit<Call & { op: "sysfs-write" }, "op">) => machine.step({ op: "sysfs-write", ...call });
  write({ attribute: { kind: "unbind", driver: "vfio-pci" }, text: { device } });
  write({ attribute: { kind: "driver_override", device }, text: { text: "mlx5_core" } });
  write({ attribute: { kind: "bind", driver: "mlx5_core" }, text: { device } });
}

describe("devices of the auxiliary bus", () => {
  it("are found by the function that they stand for, and lead to its manager", () => {
    const machine = boot();
    manage(machine, "snap0.0");
    manage(machine, "snap0.1");
    const found = machine.k.auxiliaries.map(({ name, parent }) => `${name} of ${parent.spec.address}`);
    expect(found).toEqual(["mlx5_core.vfio_pci.2048 of 0000:07:00.0", "mlx5_core.vfio_pci.2304 of 0000:07:00.1"]);
    const disk = machine.k.functions.find(({ spec }) => spec.address === "0000:09:00.0");
    const device = machine.k.auxiliaries.find(({ id }) => disk && id === pciDevId(disk.spec));
    expect(device).toMatchObject({ name: "mlx5_core.vfio_pci.2304", driver: { name: "mlx5_vfio_pci.vfio_pci_ex" } });
  });

  it("go before the driver of their parent does", () => {
    const machine = boot();
    manage(machine, "snap0.0");
    const { deleteAuxiliaries } = machine.k.driverCore;
    const seen: (string | undefined)[] = [];
    machine.k.driverCore = {
      ...machine.k.driverCore,
      deleteAuxiliaries(k, parent) {
        seen.push(parent.driver?.name);
        return deleteAuxiliaries(k, parent);
      },
    };
    machine.step({
      op: "sysfs-write",
      attribute: { kind: "unbind", driver: "mlx5_core" },
      text: { device: "snap0.0" },
    });
    expect(seen).toEqual(["mlx5_core"]);
    expect(machine.k.auxiliaries).toEqual([]);
  });

  it("have a number that no other function has, and that leads back to theirs", () => {
    const place = fc.record({ bus: fc.nat(255), devfn: fc.nat(255) });
    fc.assert(
      fc.property(place, place, (one, other) => {
        const id = pciDevId(one);
        expect({ bus: id >> 8, devfn: id & 0xff }).toEqual(one);
        expect(id === pciDevId(other)).toBe(one.bus === other.bus && one.devfn === other.devfn);
      }),
    );
    expect(pciDevId({ bus: 8, devfn: 0 })).toBe(2048);
  });

  it.each([
    ["mlx5_core.vfio_pci.2048", true],
    ["mlx5_core.vfio_pci", false],
    ["mlx5_core.vfio_pci.eth.0", false],
    ["mlx5_core.vfio.2048", false],
    ["vfio_pci", false],
  ])("are matched by all of their name but the number: %s %s", (name, expected) => {
    const [driver] = AUXILIARY_DRIVERS;
    expect(driver && matchesAuxiliary(driver, name)).toBe(expected);
  });

  it("are called by module, name and number", () => {
    const [parent] = boot().k.functions;
    if (!parent) throw new Error("the machine has no function");
    expect(new AuxiliaryDevice("mlx5_core.vfio_pci", 2048, parent).name).toBe("mlx5_core.vfio_pci.2048");
  });
});
