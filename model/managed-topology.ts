/**
 * A machine of the model alone, as the series that proposed auxiliary devices for VFIO describes it: an adapter with two
 * functions of which each manages a virtio-blk controller, 08:00.0 and 09:00.0. See driver-core/mlx5-managed.ts.
 */
import { formatRegisters, parseRegisters } from "./pci/register-text.ts";
import { NVME } from "./reference-config.ts";
import { pciFunction, REFERENCE_TOPOLOGY } from "./reference-topology.ts";
import type { Bar, FunctionSpec, Topology } from "./topology.ts";

const MELLANOX = 0x15b3;
const BAR: Bar = { size: 0x4000, memory: true, mappable: true };

/** Registers as a controller of QEMU's has them, with other ids. */
function registers(vendor: number, device: number, itsClass: number): Pick<FunctionSpec, "config" | "configKeeps"> {
  const bytes = parseRegisters(NVME.config, 4096);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, vendor, true);
  view.setUint16(2, device, true);
  view.setUint32(8, itsClass << 8, true);
  view.setUint16(0x2c, MELLANOX, true);
  view.setUint16(0x2e, 1, true);
  return { config: formatRegisters(bytes), configKeeps: NVME.configKeeps };
}

interface Place {
  readonly name: string;
  readonly bus: number;
  readonly devfn: number;
  readonly group: number;
}

function ofAdapter(place: Place, vendor: number, device: number, itsClass: number): FunctionSpec {
  return pciFunction({
    ...place,
    ...registers(vendor, device, itsClass),
    vendor,
    device,
    class: itsClass,
    bars: [BAR, null, null, null, null, null, null],
    msix: 65,
    msixBar: 0,
    nativeDriver: vendor === MELLANOX ? "mlx5_core" : null,
    resetScope: `bus 0${place.bus}`,
  });
}

const manager = (place: Place): FunctionSpec => ofAdapter(place, MELLANOX, 0xa2d6, 0x02_00_00);
const disk = (place: Place): FunctionSpec => ofAdapter(place, 0x1af4, 0x1042, 0x01_00_00);

export const MANAGED_TOPOLOGY: Topology = {
  ...REFERENCE_TOPOLOGY,
  name: "managed",
  functions: [
    manager({ name: "snap0.0", bus: 7, devfn: 0, group: 4 }),
    manager({ name: "snap0.1", bus: 7, devfn: 1, group: 5 }),
    disk({ name: "disk0", bus: 8, devfn: 0, group: 6 }),
    disk({ name: "disk1", bus: 9, devfn: 0, group: 7 }),
  ],
  bridges: [],
  drivers: ["vfio-pci", "pci-stub", "mlx5_core", "mlx5-vfio-pci"],
  managed: [
    { function: "disk0", manager: "snap0.0" },
    { function: "disk1", manager: "snap0.1" },
  ],
  mdevParents: [],
  mdevs: [],
};
