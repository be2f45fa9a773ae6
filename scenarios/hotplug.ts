/** Functions that user space takes off the bus, and what they are when they have been found again. */
import type { Call } from "../model/program.ts";
import {
  addId,
  bindDriver,
  close,
  containerOf,
  driverOf,
  getDeviceFd,
  getStatus,
  hotResetInfo,
  openContainer,
  openGroup,
  overrideDriver,
  setContainer,
  throughContainer,
  throughNode,
  unbindDriver,
} from "./calls.ts";
import { removeFunction, rescanAbove, rescanAll, rescanAt } from "./hotplug-calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";
import { countVirtual, makeVirtual } from "./sriov-calls.ts";

const container = { kconfig: ["VFIO_GROUP", "VFIO_CONTAINER"] } as const;
const group = { kconfig: ["VFIO_GROUP"] } as const;
const members = (device: string): Call => ({ op: "probe", probe: { kind: "group-members", device } });
const groupNode = (device: string): Call => ({ op: "probe", probe: { kind: "group-node", device } });
const cdevNode = (device: string): Call => ({ op: "probe", probe: { kind: "cdev-node", device } });
const readOverride = (device: string): Call => ({ op: "sysfs-read", attribute: { kind: "driver_override", device } });
const autoprobe = (text: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "pci-bus", file: "drivers_autoprobe" },
  text: { text },
});
/** Gives a function that was found to vfio-pci again. */
const backToVfio = (device: string, native: string | null = null): Call[] => [
  overrideDriver(device, "vfio-pci"),
  ...(native === null ? [] : [unbindDriver(native, device)]),
  bindDriver("vfio-pci", device),
];

export const HOTPLUG: readonly Scenario[] = [
  scenario({
    id: "function-removed",
    title: "a function that is removed is gone with its nodes and its group, and comes back without its override",
    needs: { ...container, since: "6.6", kconfig: [...container.kconfig, "VFIO_DEVICE_CDEV"] },
    steps: [
      gives(1, removeFunction("edu0")),
      refused("ENOENT", removeFunction("edu0")),
      refused("ENOENT", groupNode("edu0")),
      refused("ENOENT", cdevNode("edu0")),
      refused("ENOENT", members("edu0")),
      refused("ENOENT", readOverride("edu0")),
      refused("ENODEV", bindDriver("vfio-pci", "edu0")),
      gives(1, rescanAll()),
      refused("ENOENT", driverOf("edu0")),
      readOverride("edu0"),
      gives(1, members("edu0")),
      refused("ENOENT", groupNode("edu0")),
      ...backToVfio("edu0"),
      ...throughContainer("edu0"),
      close("@device"),
      close("@group"),
      ...throughNode("edu0"),
    ],
  }),
  scenario({
    id: "function-removed-text",
    title: "what is written to remove and rescan must be a number, and 0 does nothing",
    steps: [
      refused("EINVAL", removeFunction("edu0", "yes")),
      gives(2, removeFunction("edu0", "0\n")),
      gives(0, removeFunction("edu0", "")),
      driverOf("edu0"),
      gives(3, removeFunction("edu0", "0x2")),
      refused("EINVAL", rescanAll("-1")),
      refused("EINVAL", rescanAt("nic0.0", "one")),
      gives(1, rescanAll("0")),
      refused("ENOENT", readOverride("edu0")),
      gives(1, rescanAll("7")),
      readOverride("edu0"),
      refused("EACCES", { op: "sysfs-read", attribute: { kind: "pci-device", device: "edu0", file: "remove" } }),
      refused("EACCES", { op: "sysfs-read", attribute: { kind: "pci-bridge", device: "nic0.0", file: "rescan" } }),
      refused("EACCES", { op: "sysfs-read", attribute: { kind: "pci-bus", file: "rescan" } }),
      refused("ENOENT", rescanAbove("edu0")),
    ],
  }),
  scenario({
    id: "function-removed-of-group",
    title: "a group goes on without a member, which joins it again and gets the group's owner",
    needs: container,
    steps: [
      ...throughContainer("nic0.0"),
      getStatus("@group"),
      gives(1, removeFunction("nic0.1")),
      gives(2, members("nic0.0")),
      refused("ENODEV", getDeviceFd("@group", "nic0.1", "@other")),
      gives(1, rescanAll()),
      gives(3, members("nic0.0")),
      // The driver that it was made for can't have it while the group is somebody's.
      refused("ENOENT", driverOf("nic0.1")),
      ...backToVfio("nic0.1"),
      getDeviceFd("@group", "nic0.1", "@other"),
    ],
  }),
  scenario({
    id: "function-found-behind",
    title: "a function that is found again comes behind those of its bus that were there all the time",
    needs: container,
    steps: [
      gives(1, removeFunction("nic0.0")),
      gives(1, rescanAll()),
      ...backToVfio("nic0.0", "e1000e"),
      ...throughContainer("nic0.1"),
      hotResetInfo("@device", 2),
    ],
  }),
  scenario({
    id: "function-removed-native",
    title: "a function that is found gets the driver that it was made for, and keeps VFIO from its group",
    needs: container,
    steps: [
      gives(1, removeFunction("bridged0")),
      gives(1, rescanAt("bridged1")),
      driverOf("bridged0"),
      openContainer(),
      openGroup("bridged1"),
      refused("EPERM", setContainer("@group", "@container")),
      ...backToVfio("bridged0", "e1000"),
      setContainer("@group", "@container"),
    ],
  }),
  scenario({
    id: "function-rescan-where",
    title: "a rescan finds what is on its own bus and behind it, and nothing else",
    steps: [
      gives(1, removeFunction("edu0")),
      gives(1, removeFunction("nic0.1")),
      gives(1, removeFunction("bridged0")),
      gives(1, rescanAt("nic0.0")),
      readOverride("nic0.1"),
      refused("ENOENT", readOverride("bridged0")),
      refused("ENOENT", readOverride("edu0")),
      gives(1, rescanAbove("bridged0")),
      readOverride("bridged0"),
      readOverride("edu0"),
    ],
  }),
  scenario({
    id: "function-found-by-id",
    title: "a function that is found gets a driver that was given its id while it was away",
    needs: group,
    steps: [
      gives(1, removeFunction("rooted0")),
      addId("vfio-pci", "1b36 0010"),
      gives(1, rescanAbove("rooted0")),
      driverOf("rooted0"),
      openGroup("rooted0"),
    ],
  }),
  scenario({
    id: "function-found-unasked",
    title: "a function that is found gets no driver where the bus does not look for drivers by itself",
    steps: [
      autoprobe("0"),
      gives(1, removeFunction("bridged1")),
      gives(1, rescanAll()),
      readOverride("bridged1"),
      refused("ENOENT", driverOf("bridged1")),
    ],
    breaks: "hotplug-probes-anyway",
  }),
  scenario({
    id: "function-number-again",
    title: "a group that ended gives up its number, and the function that is found gets whichever is free",
    needs: container,
    steps: [
      gives(1, removeFunction("rooted0")),
      gives(1, removeFunction("edu0")),
      gives(1, rescanAbove("rooted0")),
      ...backToVfio("rooted0"),
      ...containerOf("rooted0"),
      getDeviceFd("@group", "rooted0"),
      hotResetInfo("@device", 4),
    ],
  }),
  scenario({
    id: "function-group-file-outlives",
    title: "a group's file outlives the function that was all of the group, and is of no more use",
    needs: container,
    steps: [
      openContainer(),
      openGroup("rooted0"),
      setContainer("@group", "@container"),
      gives(1, removeFunction("rooted0")),
      refused("ENODEV", getStatus("@group")),
      refused("ENODEV", getDeviceFd("@group", "rooted0")),
      refused("ENODEV", setContainer("@group", "@container")),
      gives(1, rescanAll()),
      ...backToVfio("rooted0"),
      refused("ENODEV", getStatus("@group")),
      openGroup("rooted0", "@group2"),
      setContainer("@group2", "@container"),
    ],
  }),
  scenario({
    id: "virtual-removed",
    title: "a virtual function can't be removed, nor can a rescan begin at it",
    needs: group,
    steps: [
      makeVirtual("2"),
      refused("ENOENT", removeFunction("vf0")),
      refused("ENOENT", removeFunction("vf0", "0")),
      refused("ENOENT", rescanAt("vf0")),
      driverOf("vf0"),
      makeVirtual("0"),
      refused("ENOENT", removeFunction("vf0")),
    ],
  }),
  scenario({
    id: "physical-removed",
    title: "a physical function that is removed takes its virtual ones along",
    needs: group,
    steps: [
      makeVirtual("2"),
      gives(1, removeFunction("pf0")),
      refused("ENOENT", driverOf("vf0")),
      gives(1, rescanAll()),
      refused("ENOENT", readOverride("vf1")),
      gives(2, countVirtual),
      ...backToVfio("pf0"),
      makeVirtual("1"),
      driverOf("vf0"),
    ],
  }),
];
