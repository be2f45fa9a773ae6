/** Drivers of the PCI bus: ids that are added and taken away, overrides that beat them, functions that look for a driver. */
import type { Call } from "../model/program.ts";
import {
  addId,
  bindDriver,
  driverOf,
  openContainer,
  openGroup,
  overrideDriver,
  probeDrivers,
  removeId,
  setContainer,
  unbindDriver,
} from "./calls.ts";
import { LEGACY } from "./needs.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

/** Takes a function from vfio-pci and leaves it to be bound by its ids. */
const release = (device: string): Call[] => [unbindDriver("vfio-pci", device), overrideDriver(device, "\n")];

const EDU = "1234 11e8";
const E1000E = "8086 10d3";
const ANY = "ffffffff";

const autoprobe = (text: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "pci-bus", file: "drivers_autoprobe" },
  text: { text },
});

export const DRIVER_IDS: readonly Scenario[] = [
  scenario({
    id: "new-id",
    title: "an id that is added to a driver gives it every function that matches and is free, at once and later",
    steps: [
      ...release("nic0.0"),
      ...release("nic0.1"),
      refused("ENODEV", bindDriver("pci-stub", "nic0.0")),
      addId("pci-stub", E1000E),
      driverOf("nic0.0"),
      driverOf("nic0.1"),
      unbindDriver("pci-stub", "nic0.0"),
      bindDriver("pci-stub", "nic0.0"),
      removeId("pci-stub", E1000E),
      driverOf("nic0.0"),
      unbindDriver("pci-stub", "nic0.0"),
      refused("ENODEV", bindDriver("pci-stub", "nic0.0")),
    ],
  }),
  scenario({
    id: "new-id-vfio",
    title: "vfio-pci gets a function by an id as by an override: it is a VFIO device then",
    needs: { kconfig: ["VFIO_GROUP"] },
    steps: [
      ...release("edu0"),
      refused("ENOENT", openGroup("edu0")),
      addId("vfio-pci", EDU),
      driverOf("edu0"),
      openGroup("edu0"),
    ],
  }),
  scenario({
    id: "new-id-texts",
    title: "an id begins with vendor and device in hexadecimal; what stands behind its numbers does not count",
    steps: [
      refused("EINVAL", addId("pci-stub", "\n")),
      refused("EINVAL", addId("pci-stub", "8086")),
      refused("EINVAL", addId("pci-stub", "8086,10d3")),
      refused("EINVAL", addId("pci-stub", "-1 10d3")),
      addId("pci-stub", " 0x8086\t0X10D3 rest"),
      refused("EEXIST", addId("pci-stub", E1000E)),
      refused("EEXIST", addId("pci-stub", `100008086 10d3`)),
      refused("EINVAL", removeId("pci-stub", "8086")),
      refused("ENODEV", removeId("pci-stub", "8086 10d4")),
      removeId("pci-stub", "8086 10d3\n"),
      refused("ENODEV", removeId("pci-stub", E1000E)),
      refused("EACCES", { op: "sysfs-read", attribute: { kind: "new_id", driver: "pci-stub" } }),
      refused("EACCES", { op: "sysfs-read", attribute: { kind: "remove_id", driver: "pci-stub" } }),
    ],
  }),
  scenario({
    id: "new-id-twice",
    title:
      "an id that a driver has is refused, unless it brings private data: then it is there twice, and goes one by one",
    steps: [
      addId("pci-stub", EDU),
      refused("EEXIST", addId("pci-stub", EDU)),
      refused("EEXIST", addId("pci-stub", `${EDU} 1af4 1100`)),
      addId("pci-stub", `${EDU} ${ANY} ${ANY} 0 0 7`),
      removeId("pci-stub", EDU),
      removeId("pci-stub", EDU),
      refused("ENODEV", removeId("pci-stub", EDU)),
    ],
  }),
  scenario({
    id: "new-id-of-table",
    title:
      "ids of a driver's own table are had already, those for overrides only are not; private data must be of the table",
    steps: [
      refused("EEXIST", addId("e1000e", E1000E)),
      refused("ENODEV", removeId("e1000e", E1000E)),
      refused("EINVAL", addId("vfio-pci", `${EDU} ${ANY} ${ANY} 0 0 1`)),
      addId("vfio-pci", EDU),
      addId("vfio-pci", `${EDU} ${ANY} ${ANY} 0 0 0`),
    ],
  }),
  scenario({
    id: "new-id-narrow",
    title: "subsystem and class of an id narrow it down; each that is not given is any",
    steps: [
      ...release("edu0"),
      addId("pci-stub", `${EDU} 1 2`),
      addId("pci-stub", `${EDU} ${ANY} ${ANY} 010000 ff0000`),
      refused("ENOENT", driverOf("edu0")),
      addId("pci-stub", `${EDU} ${ANY} ${ANY} 00ff00 ffffff`),
      driverOf("edu0"),
      refused("ENODEV", removeId("pci-stub", `${EDU} 1 3`)),
      removeId("pci-stub", `${EDU} 1 2`),
      removeId("pci-stub", `${EDU} ${ANY} ${ANY} 00ff00 ffffff`),
      removeId("pci-stub", EDU),
      refused("ENODEV", removeId("pci-stub", EDU)),
    ],
  }),
  scenario({
    id: "new-id-by-class",
    title: "an id may mean a class of functions, whoever made them",
    steps: [
      ...release("rooted0"),
      ...release("edu0"),
      addId("pci-stub", `${ANY} ${ANY} ${ANY} ${ANY} 010800 ffff00`),
      driverOf("rooted0"),
      refused("ENOENT", driverOf("edu0")),
    ],
  }),
  scenario({
    id: "override-beats-ids",
    title: "a function that is given to a driver by name goes to no other, whatever ids the others have",
    steps: [
      unbindDriver("vfio-pci", "edu0"),
      addId("pci-stub", EDU),
      refused("ENOENT", driverOf("edu0")),
      refused("ENODEV", bindDriver("pci-stub", "edu0")),
      overrideDriver("edu0", "none"),
      refused("ENODEV", bindDriver("pci-stub", "edu0")),
      probeDrivers("edu0"),
      refused("ENOENT", driverOf("edu0")),
      overrideDriver("edu0", "vfio-pci"),
      addId("vfio-pci", E1000E),
      driverOf("edu0"),
    ],
  }),
  scenario({
    id: "override-only",
    title: "vfio-pci matches every function that is given to it by name, and none of the others",
    steps: [
      ...release("edu0"),
      refused("ENODEV", bindDriver("vfio-pci", "edu0")),
      probeDrivers("edu0"),
      refused("ENOENT", driverOf("edu0")),
      overrideDriver("edu0", "vfio-pci"),
      probeDrivers("edu0"),
      driverOf("edu0"),
      probeDrivers("edu0"),
      refused("EBUSY", bindDriver("vfio-pci", "edu0")),
    ],
  }),
  scenario({
    id: "function-looks-for-driver",
    title: "a function that looks for a driver gets its own, and none while its group is a user's",
    needs: LEGACY,
    steps: [
      ...release("nic0.1"),
      openContainer(),
      openGroup("nic0.0"),
      setContainer("@group", "@container"),
      refused("EINVAL", probeDrivers("nic0.1")),
      refused("ENOENT", driverOf("nic0.1")),
      { op: "ioctl", fd: "@group", request: "VFIO_GROUP_UNSET_CONTAINER", arg: { kind: "value", value: 0 } },
      probeDrivers("nic0.1"),
      driverOf("nic0.1"),
      refused("ENODEV", {
        op: "sysfs-write",
        attribute: { kind: "pci-bus", file: "drivers_probe" },
        text: { text: "0000:ff:1f.7" },
      }),
    ],
  }),
  scenario({
    id: "autoprobe-of-the-bus",
    title: "a bus that gives no drivers by itself still does when it is asked",
    steps: [
      gives(1, autoprobe("0")),
      gives(2, { op: "sysfs-read", attribute: { kind: "pci-bus", file: "drivers_autoprobe" } }),
      ...release("edu0"),
      addId("pci-stub", EDU),
      driverOf("edu0"),
      unbindDriver("pci-stub", "edu0"),
      probeDrivers("edu0"),
      driverOf("edu0"),
      gives(4, autoprobe("yes\n")),
      gives(2, { op: "sysfs-read", attribute: { kind: "pci-bus", file: "drivers_autoprobe" } }),
    ],
  }),
  scenario({
    id: "new-id-refused-by-driver",
    title: "an id is added though the driver refuses the function: what no IOMMU isolates has no driver then",
    needs: { mock: true },
    steps: [
      overrideDriver("edu0", "\n"),
      addId("vfio-pci", EDU),
      refused("ENOENT", driverOf("edu0")),
      probeDrivers("edu0"),
      refused("ENOENT", driverOf("edu0")),
      refused("EINVAL", bindDriver("vfio-pci", "edu0")),
      removeId("vfio-pci", EDU),
      addId("pci-stub", EDU),
      driverOf("edu0"),
    ],
  }),
];
