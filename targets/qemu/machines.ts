/**
 * The machines that are booted in QEMU, as data: how QEMU is called, and which PCI functions there are to test with.
 */

/** A PCI function with a name of ours that stays the same whatever number its bus gets. */
export interface MachineDevice {
  readonly name: string;
  /** Slot and function of each bridge on the way from the root bus, and of the function itself: `["07.0", "01.0"]`. */
  readonly path: readonly string[];
  /** Names for its virtual functions, in their order, where programs make such. */
  readonly virtual?: readonly string[];
}

/** See the file's comment. */
export interface QemuMachine {
  readonly name: string;
  /** What it is, after "a machine": `with an IOMMU`. */
  readonly title: string;
  /** QEMU's arguments, without memory, CPUs, accelerator, kernel and console. */
  readonly args: readonly string[];
  /** What the kernel's command line gets. */
  readonly append: string;
  readonly devices: readonly MachineDevice[];
  /** Slots of bridges to a conventional bus, which can be reset: on the root bus, so their address is known. */
  readonly conventionalBridges: readonly string[];
}

// Nothing on the board that nobody uses, and that the firmware would wait for.
const BOARD = "q35,sata=off,smbus=off,i8042=off";

// Everything the emulator can do, SVM for KVM_AMD included, but for fast string instructions: it carries those out byte
// by byte, and a kernel that believes them fast clears its pages with them (a fork takes a third longer).
const CPU = "max,-erms,-fsrm";

/** Stands for the path of the ROM that the suite makes. */
export const ROM_FILE = "<rom>";
/** The function that has it, and the ids that its images are for. */
export const ROM_DEVICE = { name: "bridged0", vendor: 0x8086, device: 0x100e } as const;

// Network adapters come without their boot ROM: running it would only make the boot longer. One has a ROM of the suite's, which
// no firmware of a PC runs. Each function of a slot says that there are several, as adapters do: Linux takes those that are found
// later at their word (drivers/pci/probe.c:pci_scan_slot), and would give one that does not say so a group of its own.
const PCI_ARGS = [
  ["-device", "pcie-root-port,id=port0,addr=05.0,chassis=1,slot=1"],
  ["-device", "e1000e,bus=port0,addr=00.0,multifunction=on,romfile="],
  ["-device", "e1000e,bus=port0,addr=00.1,multifunction=on,romfile="],
  ["-device", "edu,addr=06.0"],
  ["-device", "pcie-pci-bridge,id=bridge,addr=07.0"],
  ["-device", `e1000,bus=bridge,addr=01.0,romfile=${ROM_FILE}`],
  ["-device", "e1000,bus=bridge,addr=02.0,romfile="],
  ["-device", "pcie-root-port,id=port1,addr=08.0,chassis=2,slot=2"],
  ["-device", "nvme,bus=port1,addr=00.0,serial=vfio-conformance"],
].flat();

/** A controller that can have two virtual functions, behind a root port of its own. */
const SRIOV_ARGS = [
  ["-device", "pcie-root-port,id=port2,addr=09.0,chassis=3,slot=3"],
  ["-device", "nvme-subsys,id=subsystem"],
  [
    "-device",
    "nvme,bus=port2,addr=00.0,serial=virtual,subsys=subsystem,sriov_max_vfs=2,sriov_vq_flexible=4,sriov_vi_flexible=2,max_ioqpairs=6,msix_qsize=4",
  ],
].flat();

/** An adapter with the ranges of memory and of I/O ports that every VGA adapter has. No firmware draws on it. */
const VGA_ARGS = ["-device", "VGA,addr=0a.0,romfile="];

const PCI_DEVICES: readonly MachineDevice[] = [
  { name: "nic0.0", path: ["05.0", "00.0"] },
  { name: "nic0.1", path: ["05.0", "00.1"] },
  { name: "edu0", path: ["06.0"] },
  { name: "bridged0", path: ["07.0", "01.0"] },
  { name: "bridged1", path: ["07.0", "02.0"] },
  { name: "rooted0", path: ["08.0", "00.0"] },
];

const SRIOV_DEVICES: readonly MachineDevice[] = [
  ...PCI_DEVICES,
  { name: "pf0", path: ["09.0", "00.0"], virtual: ["vf0", "vf1"] },
];

/**
 * With an IOMMU. `nic0.0` and `nic0.1` are two functions of one adapter behind a root port, and share a group with it
 * (directly on the root bus Linux would trust an Intel adapter to keep its functions apart); `bridged0` and `bridged1`
 * share one because a conventional PCI bus cannot tell them apart; `edu0` is alone; `rooted0` is an NVMe controller,
 * alone behind a root port.
 */
export const IOMMU_MACHINE: QemuMachine = {
  name: "iommu",
  title: "with an IOMMU",
  args: ["-M", `${BOARD},kernel-irqchip=split`, "-cpu", CPU, "-device", "intel-iommu,intremap=on", ...PCI_ARGS],
  // So few mappings in a container that programs run out of them.
  append: "intel_iommu=on vfio_iommu_type1.dma_entry_limit=6",
  devices: PCI_DEVICES,
  conventionalBridges: ["07.0"],
};

/** The same with `pf0`, which can have two virtual functions, `vf0` and `vf1`, and with `vga0`, a VGA adapter. */
export const SRIOV_MACHINE: QemuMachine = {
  ...IOMMU_MACHINE,
  name: "sriov",
  title: "with an IOMMU, a function that can have virtual ones, and a VGA adapter",
  args: [...IOMMU_MACHINE.args, ...SRIOV_ARGS, ...VGA_ARGS],
  append: `${IOMMU_MACHINE.append} vfio_pci.enable_sriov=1`,
  devices: [...SRIOV_DEVICES, { name: "vga0", path: ["0a.0"] }],
};

/**
 * The same without an IOMMU: for the mock device of the kernel's iommufd selftest, which does not attach where there
 * is one.
 */
export const MOCK_MACHINE: QemuMachine = {
  name: "mock",
  title: "without an IOMMU",
  args: ["-M", BOARD, "-cpu", CPU, ...PCI_ARGS],
  append: "intel_iommu=off vfio_iommu_type1.dma_entry_limit=6",
  devices: PCI_DEVICES,
  conventionalBridges: ["07.0"],
};

/**
 * The mock's machine with no-IOMMU mode on: its functions become VFIO devices all the same. `pf0` is there, but vfio-pci was not told
 * that it may have virtual functions.
 */
export const NOIOMMU_MACHINE: QemuMachine = {
  ...MOCK_MACHINE,
  name: "noiommu",
  title: "without an IOMMU, in no-IOMMU mode",
  args: [...MOCK_MACHINE.args, ...SRIOV_ARGS],
  devices: SRIOV_DEVICES,
  append: `${MOCK_MACHINE.append} vfio.enable_unsafe_noiommu_mode=1`,
};

/** All machines by name. */
export const MACHINES: readonly QemuMachine[] = [IOMMU_MACHINE, SRIOV_MACHINE, MOCK_MACHINE, NOIOMMU_MACHINE];
