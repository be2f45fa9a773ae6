/**
 * The design of 2021 in which a vendor's driver manages functions and makes a device of the auxiliary bus for each: of the
 * model's machine `managed`, for no kernel took it. See model/driver-core/auxiliary.ts for the series.
 */
import type { Call } from "../model/program.ts";
import { bindDriver, driverOf, openGroup, overrideDriver, unbindDriver } from "./calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const VFIO = "mlx5_vfio_pci.vfio_pci_ex";
const NAME = "mlx5_core.vfio_pci.2048";

const auxiliary = (file: "bind" | "unbind", driver = VFIO, text = NAME): Call => ({
  op: "sysfs-write",
  attribute: { kind: "aux-driver", driver, file },
  text: { text },
});
const auxiliaries: Call = { op: "probe", probe: { kind: "auxiliaries" } };
const driverOfAuxiliary: Call = { op: "probe", probe: { kind: "aux-driver", name: NAME } };

/** Gives a function to a driver by name. */
const give = (device: string, driver: string): Call[] => [
  unbindDriver("vfio-pci", device),
  overrideDriver(device, driver),
  bindDriver(driver, device),
];

export const AUXILIARY: readonly Scenario[] = [
  scenario({
    id: "auxiliary-life",
    title: "devices of the auxiliary bus come with the driver of their parent, and go with it",
    steps: [
      unbindDriver("vfio-pci", "snap0.0"),
      gives(0, auxiliaries),
      overrideDriver("snap0.0", "mlx5_core"),
      bindDriver("mlx5_core", "snap0.0"),
      gives(1, auxiliaries),
      driverOfAuxiliary,
      ...give("snap0.1", "mlx5_core"),
      gives(2, auxiliaries),
      unbindDriver("mlx5_core", "snap0.0"),
      gives(1, auxiliaries),
      refused("ENOENT", driverOfAuxiliary),
      refused("ENODEV", auxiliary("bind")),
    ],
  }),
  scenario({
    id: "auxiliary-drivers",
    title: "a driver of the auxiliary bus has devices whose name is in its table, one driver a device",
    steps: [
      ...give("snap0.0", "mlx5_core"),
      refused("EBUSY", auxiliary("bind")),
      refused("ENODEV", auxiliary("unbind", "mlx5_ib.rdma")),
      auxiliary("unbind"),
      refused("ENOENT", driverOfAuxiliary),
      gives(1, auxiliaries),
      refused("ENODEV", auxiliary("unbind")),
      refused("ENODEV", auxiliary("bind", "mlx5_ib.rdma")),
      refused("ENODEV", auxiliary("bind", VFIO, "mlx5_core.vfio_pci.2304")),
      auxiliary("bind", VFIO, `${NAME}\n`),
      driverOfAuxiliary,
    ],
  }),
  scenario({
    id: "managed-function",
    title: "a function becomes a VFIO device of its manager's while both have a driver, and is vfio-pci's at any time",
    needs: { kconfig: ["VFIO_GROUP"] },
    steps: [
      unbindDriver("vfio-pci", "disk0"),
      overrideDriver("disk0", "mlx5-vfio-pci"),
      refused("ENODEV", bindDriver("mlx5-vfio-pci", "disk0")),
      ...give("snap0.0", "mlx5_core"),
      auxiliary("unbind"),
      refused("ENODEV", bindDriver("mlx5-vfio-pci", "disk0")),
      auxiliary("bind"),
      bindDriver("mlx5-vfio-pci", "disk0"),
      driverOf("disk0"),
      driverOfAuxiliary,
      openGroup("disk0"),
      unbindDriver("vfio-pci", "disk1"),
      overrideDriver("disk1", "vfio-pci"),
      bindDriver("vfio-pci", "disk1"),
    ],
  }),
];
