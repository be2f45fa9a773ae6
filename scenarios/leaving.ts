/** Devices that are taken away while they are open: what their users are told, what still works, and who waits for whom. */
import type { Attribute, Call, Text } from "../model/program.ts";
import { PCI_IRQ } from "../model/vfio/device-info.ts";
import { IRQ_SET } from "../model/vfio/irqs.ts";
import {
  addFile,
  allocIoas,
  attach,
  bind,
  close,
  containerOf,
  createKvmVfio,
  createMdev,
  createVm,
  driverOf,
  getDeviceFd,
  getInfo,
  getStatus,
  hotReset,
  ioctl,
  map,
  openCdev,
  openContainer,
  openEventfd,
  openGroup,
  openIommufd,
  openKvm,
  poll,
  read,
  removeMdev,
  resetDevice,
  setContainer,
  throughContainer,
  throughNode,
} from "./calls.ts";
import { removeFunction, rescanAll } from "./hotplug-calls.ts";
import { asleep, awake, mayFallAsleep, mayFallAsleepUntil } from "./power-calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const container = { kconfig: ["VFIO_GROUP", "VFIO_CONTAINER"] } as const;
const since66 = { ...container, since: "6.6" } as const;
const cdev = { kconfig: ["VFIO_DEVICE_CDEV"], since: "6.6" } as const;
/** Bytes of a function's address, which a write to `unbind` takes. */
const ADDRESS = 12;

const start = (attribute: Attribute, text: Text, as = "@task"): Call => ({ op: "start", attribute, text, as });
const startUnbind = (device: string): Call => start({ kind: "unbind", driver: "vfio-pci" }, { device });
const startRemove = (device: string): Call => start({ kind: "pci-device", device, file: "remove" }, { text: "1" });
const startMdevRemove = (device: string): Call => start({ kind: "mdev-remove", device }, { text: "1" });
const startMdevUnbind = (device: string): Call =>
  start({ kind: "mdev-driver", driver: "mtty", file: "unbind" }, { device });
const join: Call = { op: "join", task: "@task" };
const askThrough = (eventfd: string): Call =>
  ioctl("@device", "VFIO_DEVICE_SET_IRQS", {
    argsz: 24,
    flags: IRQ_SET.EVENTFD | IRQ_SET.TRIGGER,
    index: PCI_IRQ.REQ,
    count: 1,
    data: [eventfd],
  });
const groupNode = (device: string): Call => ({ op: "probe", probe: { kind: "group-node", device } });
const cdevNode = (device: string): Call => ({ op: "probe", probe: { kind: "cdev-node", device } });
const members = (device: string): Call => ({ op: "probe", probe: { kind: "group-members", device } });
const mdevType = (device: string): Call => ({ op: "probe", probe: { kind: "mdev-type", device } });
const readOverride = (device: string): Call => ({ op: "sysfs-read", attribute: { kind: "driver_override", device } });
const vendorFile = (device: string): Call => ({
  op: "sysfs-read",
  attribute: { kind: "mdev-vendor", device, file: "sample_mdev_dev" },
});

export const LEAVING: readonly Scenario[] = [
  scenario({
    id: "unbound-while-open",
    title:
      "a function is unbound while it is open: its user is asked for it and goes on, nobody else gets it, the last close ends it",
    needs: since66,
    steps: [
      ...throughContainer("nic0.0"),
      openEventfd(),
      askThrough("@eventfd"),
      gives(1, startUnbind("nic0.0")),
      poll("@eventfd"),
      gives(8, read("@eventfd", { count: 8 })),
      refused("ENOENT", driverOf("nic0.0")),
      refused("ENODEV", getDeviceFd("@group", "nic0.0", "@again")),
      groupNode("nic0.0"),
      refused("EBUSY", openGroup("nic0.0", "@group2")),
      getStatus("@group"),
      getInfo("@device"),
      refused("EAGAIN", resetDevice("@device")),
      close("@device"),
      gives(ADDRESS, join),
      refused("ENODEV", getDeviceFd("@group", "nic0.0", "@again")),
      getDeviceFd("@group", "nic0.1", "@other"),
    ],
  }),
  scenario({
    id: "unbound-while-group-kept",
    title: "a group's last device is unbound while it is open: the group goes with it, and its file is of no more use",
    needs: container,
    steps: [
      ...throughContainer("rooted0"),
      gives(1, startUnbind("rooted0")),
      close("@container"),
      close("@group"),
      getInfo("@device"),
      groupNode("rooted0"),
      close("@device"),
      gives(ADDRESS, join),
      refused("ENOENT", groupNode("rooted0")),
    ],
  }),
  scenario({
    id: "unbound-while-node-open",
    title:
      "a node that is open keeps the device as well, bound or not; there is no opening it any more, and binding it only where nothing is reset",
    needs: cdev,
    steps: [
      openIommufd(),
      openCdev("edu0"),
      gives(1, startUnbind("edu0")),
      refused("ENOENT", cdevNode("edu0")),
      refused("ENOENT", openCdev("edu0", "@again")),
      bind("@device", "@iommufd"),
      allocIoas("@iommufd"),
      attach("@device", "@ioas"),
      map("@iommufd", "@ioas", 0x10000, 4096),
      close("@device"),
      gives(ADDRESS, join),
    ],
  }),
  scenario({
    id: "leaves-awake",
    title: "a function that leaves is awake until it has left, though nobody has it open",
    needs: cdev,
    steps: [
      openCdev("edu0"),
      asleep("edu0"),
      gives(1, startUnbind("edu0")),
      awake("edu0"),
      close("@device"),
      gives(ADDRESS, join),
    ],
  }),
  scenario({
    id: "leaves-woken",
    title: "a function that sleeps is woken up by its leaving, tells so, and sleeps no more",
    needs: container,
    steps: [
      ...throughContainer("edu0"),
      openEventfd(),
      mayFallAsleepUntil("@eventfd"),
      asleep("edu0"),
      gives(1, startUnbind("edu0")),
      gives(8, read("@eventfd", { count: 8 })),
      mayFallAsleep(),
      awake("edu0"),
      close("@device"),
      gives(ADDRESS, join),
    ],
  }),
  scenario({
    id: "unbound-before-bound",
    title: "a function that is reset when it is opened is not opened while its driver lets it go",
    needs: cdev,
    steps: [
      openIommufd(),
      openCdev("nic0.0"),
      gives(1, startUnbind("nic0.0")),
      refused("EAGAIN", bind("@device", "@iommufd")),
      close("@device"),
      gives(ADDRESS, join),
    ],
  }),
  scenario({
    id: "removed-while-open",
    title: "a function is removed while it is open: it stays on the bus until it is closed, and then is gone",
    needs: since66,
    steps: [
      ...throughContainer("edu0"),
      gives(1, startRemove("edu0")),
      refused("ENOENT", removeFunction("edu0")),
      readOverride("edu0"),
      gives(1, members("edu0")),
      getInfo("@device"),
      close("@group"),
      close("@container"),
      close("@device"),
      gives(1, join),
      refused("ENOENT", readOverride("edu0")),
      gives(1, rescanAll()),
      readOverride("edu0"),
    ],
  }),
  scenario({
    id: "hot-reset-while-leaving",
    title: "no hot reset hits a function that its driver lets go",
    needs: since66,
    steps: [
      ...throughContainer("bridged0"),
      gives(1, startUnbind("bridged0")),
      refused("EAGAIN", hotReset("@device", "@group")),
      close("@device"),
      gives(ADDRESS, join),
    ],
  }),
  scenario({
    id: "mdev-removed-while-open",
    title:
      "a mediated device is removed while it is open: it is off the bus at once, and its UUID is free when it is closed",
    needs: { ...container, since: "6.6", kconfig: [...container.kconfig, "VFIO_MDEV"] },
    steps: [
      createMdev(),
      ...throughContainer("mdev0"),
      gives(1, startMdevRemove("mdev0")),
      refused("ENOENT", removeMdev("mdev0")),
      refused("ENOENT", driverOf("mdev0")),
      refused("ENOENT", mdevType("mdev0")),
      refused("ENOENT", groupNode("mdev0")),
      refused("EEXIST", createMdev()),
      refused("ENODEV", getDeviceFd("@group", "mdev0", "@again")),
      getInfo("@device"),
      getStatus("@group"),
      close("@device"),
      gives(1, join),
      refused("ENODEV", getStatus("@group")),
      createMdev(),
    ],
  }),
  scenario({
    id: "mdev-unbound-while-open",
    title: "a mediated device is unbound while it is open: it stays on the bus, without a driver that anybody sees",
    needs: { ...container, since: "6.6", kconfig: [...container.kconfig, "VFIO_MDEV"] },
    steps: [
      createMdev(),
      ...throughContainer("mdev0"),
      gives(1, startMdevUnbind("mdev0")),
      refused("ENOENT", driverOf("mdev0")),
      refused("ENOENT", vendorFile("mdev0")),
      mdevType("mdev0"),
      groupNode("mdev0"),
      getInfo("@device"),
      close("@device"),
      gives(36, join),
      mdevType("mdev0"),
      refused("ENOENT", groupNode("mdev0")),
    ],
  }),
  scenario({
    id: "leaving-known-to-vm",
    title:
      "a VM that knows a device's file keeps it from nothing: the device leaves when its descriptors are closed and the VM forgets it",
    needs: { kconfig: ["VFIO_DEVICE_CDEV", "KVM"], since: "6.6" },
    steps: [
      openKvm(),
      createVm(),
      createKvmVfio(),
      openIommufd(),
      openCdev("edu0"),
      addFile("@kvm-vfio", "@device"),
      bind("@device", "@iommufd"),
      gives(1, startUnbind("edu0")),
      close("@device"),
      close("@kvm-vfio"),
      close("@vm"),
      gives(ADDRESS, join),
    ],
  }),
  scenario({
    id: "leaving-started-refused",
    title: "what another task writes and need not wait for is over at once, refused or not",
    needs: container,
    steps: [
      gives(0, start({ kind: "unbind", driver: "pci-stub" }, { device: "edu0" })),
      refused("ENODEV", join),
      gives(0, start({ kind: "unbind", driver: "vfio-pci" }, { device: "edu0" }, "@second")),
      gives(ADDRESS, { op: "join", task: "@second" }),
    ],
  }),
  scenario({
    id: "leaving-at-the-end",
    title: "what is still open when the program ends lets the device go",
    needs: container,
    steps: [...throughContainer("rooted0"), gives(1, startRemove("rooted0"))],
  }),
  scenario({
    id: "leaving-node-and-group",
    title: "while a node that is not bound keeps a device, its group can be opened, and has no device to give",
    needs: { kconfig: [...container.kconfig, "VFIO_DEVICE_CDEV"], since: "6.6" },
    steps: [
      openCdev("rooted0"),
      gives(1, startUnbind("rooted0")),
      ...containerOf("rooted0"),
      refused("ENODEV", getDeviceFd("@group", "rooted0", "@again")),
      getStatus("@group"),
      close("@device"),
      gives(ADDRESS, join),
      refused("ENODEV", getStatus("@group")),
      openContainer("@other"),
      refused("ENODEV", setContainer("@group", "@other")),
    ],
  }),
  scenario({
    id: "leaving-through-iommufd",
    title:
      "a device that is open through its group's iommufd leaves when it is closed; the group's file keeps the iommufd",
    needs: { kconfig: ["VFIO_GROUP", "IOMMUFD"], since: "6.6" },
    steps: [
      openIommufd(),
      openGroup("edu0"),
      setContainer("@group", "@iommufd"),
      getDeviceFd("@group", "edu0"),
      gives(1, startUnbind("edu0")),
      close("@iommufd"),
      getInfo("@device"),
      close("@device"),
      gives(ADDRESS, join),
      refused("ENODEV", getStatus("@group")),
    ],
  }),
  scenario({
    id: "leaving-device-opened",
    title: "a device that is being taken away can't be opened once more through its group",
    needs: { ...container, until: "6.5" },
    steps: [
      ...throughContainer("nic0.0"),
      gives(1, startUnbind("nic0.0")),
      refused("ENODEV", getDeviceFd("@group", "nic0.0", "@again")),
      close("@device"),
      // Where it could be opened again, it is this that lets it go.
      refused("EBADF", close("@again")),
      gives(ADDRESS, join),
    ],
    breaks: "leaving-device-opened",
  }),
  scenario({
    id: "leaving-bound-twice",
    title: "what was bound through its node before leaves as any other",
    needs: cdev,
    steps: [
      ...throughNode("rooted0"),
      gives(1, startRemove("rooted0")),
      refused("ENOENT", cdevNode("rooted0")),
      getInfo("@device"),
      close("@device"),
      gives(1, join),
      refused("ENOENT", readOverride("rooted0")),
    ],
  }),
  scenario({
    id: "alias-cleared",
    breaks: "alias-cleared",
    title: "a group that is attached goes on without a function of its own that was removed, and can be let go",
    needs: container,
    steps: [...containerOf("bridged1"), removeFunction("bridged0"), close("@group"), close("@container"), rescanAll()],
  }),
];
