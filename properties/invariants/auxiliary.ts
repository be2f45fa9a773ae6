/** Invariants about the auxiliary bus, and the functions that its devices of VFIO stand for. */
import { MANAGED_VFIO, pciDevId } from "../../model/driver-core/auxiliary.ts";
import { mlx5CoreDriver } from "../../model/driver-core/mlx5-managed.ts";
import type { StateInvariant } from "./invariant.ts";

export const auxiliaryNames: StateInvariant = {
  kind: "state",
  id: "auxiliary-names",
  title:
    "no two devices of the auxiliary bus have one name, and the number of VFIO's is that of the function that is managed",
  broken({ machine: { k } }) {
    for (const [at, { name, id, parent }] of k.auxiliaries.entries()) {
      if (k.auxiliaries.findIndex((other) => other.name === name) !== at) return `two devices are called ${name}`;
      const [bus, devfn] = [id >> 8, id & 0xff];
      const { spec } = k.functions.find((each) => each.spec.bus === bus && each.spec.devfn === devfn) ?? {};
      const managed = k.topology.managed.some(
        (each) => each.function === spec?.name && each.manager === parent.spec.name,
      );
      if (!managed) return `${name} is no function that ${parent.spec.name} manages`;
    }
    return undefined;
  },
};

export const auxiliaryWithinParent: StateInvariant = {
  kind: "state",
  id: "auxiliary-within-parent",
  title: "devices of the auxiliary bus are there exactly while the driver that makes them has their parent",
  broken({ machine: { k } }) {
    for (const { name, parent } of k.auxiliaries) {
      if (parent.driver !== mlx5CoreDriver) return `${name} is there, and ${parent.spec.name} is not mlx5_core's`;
    }
    for (const { function: managed, manager } of k.topology.managed) {
      const by = k.functions.find(({ spec }) => spec.name === manager);
      if (by?.driver !== mlx5CoreDriver) continue;
      const there = k.auxiliaries.some(({ parent }) => parent === by);
      if (!there) return `mlx5_core has ${manager}, and nothing stands for ${managed}`;
    }
    return undefined;
  },
};

export const managedByTwo: StateInvariant = {
  kind: "state",
  id: "managed-by-two",
  title: "a function that mlx5-vfio-pci has is its manager's as well: their auxiliary device has its driver",
  broken({ machine: { k } }) {
    if (k.topology.managed.length === 0) return undefined;
    for (const { driver, spec } of k.functions) {
      if (driver?.name !== MANAGED_VFIO) continue;
      const device = k.auxiliaries.find(({ id }) => id === pciDevId(spec));
      if (!device?.driver)
        return `${spec.name} is mlx5-vfio-pci's, and ${device ? "nobody has" : "there is no"} auxiliary device of it`;
    }
    return undefined;
  },
};
