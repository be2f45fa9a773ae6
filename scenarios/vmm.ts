/**
 * What virtual machine monitors do with a device, from the first open to the last close: through groups and a container as
 * QEMU, cloud-hypervisor, crosvm and kvmtool do it, and through the device's own node as QEMU does with an iommufd.
 */
import type { Call } from "../model/program.ts";
import {
  addFile,
  allocIoas,
  attach,
  bind,
  close,
  countVms,
  createKvmVfio,
  createVm,
  destroy,
  detach,
  getDeviceFd,
  getInfo,
  getRegionInfo,
  hasFileAttribute,
  ioctl,
  ioctlValue,
  map,
  openCdev,
  openContainer,
  openGroup,
  openIommufd,
  openKvm,
  removeFile,
  setContainer,
  setIommu,
  testKvmVfio,
  throughNode,
  unmap,
  unsetContainer,
} from "./calls.ts";
import { gives, refused, type Scenario, type Step, scenario } from "./scenario.ts";
import { mapDma, unmapDma } from "./type1.ts";

const LEGACY = { kconfig: ["KVM", "VFIO_GROUP", "VFIO_CONTAINER"] } as const;
const HELD = { since: "6.3", kconfig: ["KVM", "VFIO_GROUP", "VFIO_CONTAINER"] } as const;
const CDEV = { since: "6.6", kconfig: ["KVM", "VFIO_DEVICE_CDEV", "IOMMUFD"] } as const;

const TYPE1V2 = 3;
const KVM_API_VERSION = 12;

/** A VM, and a look at whether it can have a VFIO device, which it then gets. */
const vm: readonly (Call | Step)[] = [
  openKvm(),
  gives(KVM_API_VERSION, ioctlValue("@kvm", "KVM_GET_API_VERSION")),
  createVm(),
  testKvmVfio(),
  createKvmVfio(),
  testKvmVfio(),
  hasFileAttribute("@kvm-vfio", 1),
  hasFileAttribute("@kvm-vfio", 2),
  refused("ENXIO", hasFileAttribute("@kvm-vfio", 3)),
];

const groupStatus = (group: string): Call => ioctl(group, "VFIO_GROUP_GET_STATUS", { argsz: 8 });

/** A container that can have type1, version 2. */
const container: readonly (Call | Step)[] = [
  openContainer(),
  gives(0, ioctlValue("@container", "VFIO_GET_API_VERSION")),
  gives(1, ioctlValue("@container", "VFIO_CHECK_EXTENSION", TYPE1V2)),
];

const look = (device: string): Call[] => [getInfo(device), getRegionInfo(device, 0), getRegionInfo(device, 7)];

export const VMM: readonly Scenario[] = [
  scenario({
    id: "vmm-legacy",
    title: "a monitor hands a function to its VM through its group, and takes it back",
    needs: LEGACY,
    steps: [
      ...vm,
      openGroup("edu0"),
      groupStatus("@group"),
      ...container,
      refused("EINVAL", setIommu("@container", TYPE1V2)),
      setContainer("@group", "@container"),
      setIommu("@container", TYPE1V2),
      addFile("@kvm-vfio", "@group"),
      mapDma("@container", 0, 0xa_0000),
      mapDma("@container", 0x10_0000, 0x40_0000),
      getDeviceFd("@group", "edu0"),
      ...look("@device"),
      refused("EEXIST", mapDma("@container", 0x10_0000, 0x1000)),
      refused("EBUSY", unsetContainer("@group")),
      unmapDma("@container", 0, 0xa_0000),
      close("@device"),
      removeFile("@kvm-vfio", "@group"),
      unsetContainer("@group"),
      close("@container"),
      close("@group"),
      close("@kvm-vfio"),
      close("@vm"),
      gives(0, countVms),
    ],
  }),
  scenario({
    id: "vmm-legacy-two-functions",
    title: "two functions of one group, and one of another, in one container: the VM is told of each group once",
    needs: LEGACY,
    steps: [
      ...vm,
      ...container,
      openGroup("nic0.0"),
      setContainer("@group", "@container"),
      setIommu("@container", TYPE1V2),
      addFile("@kvm-vfio", "@group"),
      getDeviceFd("@group", "nic0.0"),
      getDeviceFd("@group", "nic0.1", "@device1"),
      refused("ENODEV", getDeviceFd("@group", "edu0", "@device2")),
      refused("EEXIST", addFile("@kvm-vfio", "@group")),
      openGroup("edu0", "@group1"),
      setContainer("@group1", "@container"),
      refused("EINVAL", setIommu("@container", TYPE1V2)),
      addFile("@kvm-vfio", "@group1"),
      getDeviceFd("@group1", "edu0", "@device2"),
      close("@device2"),
      removeFile("@kvm-vfio", "@group1"),
      unsetContainer("@group1"),
      close("@group1"),
      close("@device1"),
      close("@device"),
      removeFile("@kvm-vfio", "@group"),
      unsetContainer("@group"),
      close("@group"),
      refused("EINVAL", setIommu("@container", TYPE1V2)),
    ],
  }),
  scenario({
    id: "vmm-cdev",
    title: "a monitor hands a function to its VM through its own node and an iommufd, and takes it back",
    needs: CDEV,
    steps: [
      ...vm,
      openIommufd(),
      openCdev("edu0"),
      addFile("@kvm-vfio", "@device"),
      refused("EINVAL", getInfo("@device")),
      bind("@device", "@iommufd"),
      ...look("@device"),
      allocIoas("@iommufd"),
      attach("@device", "@ioas"),
      map("@iommufd", "@ioas", 0x10_0000, 0x4000),
      refused("EBUSY", destroy("@iommufd", "@ioas")),
      unmap("@iommufd", "@ioas", 0x10_0000, 0x4000),
      detach("@device"),
      destroy("@iommufd", "@ioas"),
      removeFile("@kvm-vfio", "@device"),
      close("@device"),
      close("@iommufd"),
      close("@kvm-vfio"),
      close("@vm"),
      gives(0, countVms),
    ],
  }),
  scenario({
    id: "vmm-killed-legacy",
    title: "a monitor that ends early leaves the VM to its device, and nothing once that is closed",
    needs: HELD,
    steps: [
      ...vm,
      ...container,
      openGroup("edu0"),
      setContainer("@group", "@container"),
      setIommu("@container"),
      addFile("@kvm-vfio", "@group"),
      getDeviceFd("@group", "edu0"),
      close("@vm"),
      close("@kvm-vfio"),
      close("@group"),
      close("@container"),
      gives(1, countVms),
      refused("EBUSY", openGroup("edu0", "@group1")),
      getInfo("@device"),
      close("@device"),
      gives(0, countVms),
      openGroup("edu0", "@group1"),
    ],
  }),
  scenario({
    id: "vmm-told-late",
    title: "a VM that is told of a group once its device is open is not kept by the device, before it is opened anew",
    needs: HELD,
    steps: [
      ...container,
      openGroup("edu0"),
      setContainer("@group", "@container"),
      setIommu("@container"),
      getDeviceFd("@group", "edu0"),
      ...vm,
      addFile("@kvm-vfio", "@group"),
      getDeviceFd("@group", "edu0", "@device1"),
      close("@device"),
      close("@device1"),
      getDeviceFd("@group", "edu0"),
      close("@kvm-vfio"),
      close("@vm"),
      gives(1, countVms),
      close("@device"),
      gives(0, countVms),
      ...vm,
      getDeviceFd("@group", "edu0"),
      addFile("@kvm-vfio", "@group"),
      close("@kvm-vfio"),
      close("@vm"),
      gives(0, countVms),
    ],
  }),
  scenario({
    id: "vmm-told-late-cdev",
    title: "a VM that is told of a node's file once that is bound is not kept by the device",
    needs: CDEV,
    steps: [
      ...vm,
      ...throughNode("edu0"),
      addFile("@kvm-vfio", "@device"),
      close("@kvm-vfio"),
      close("@vm"),
      gives(0, countVms),
      getInfo("@device"),
    ],
  }),
  scenario({
    id: "vmm-wrong-files",
    title: "a VM is told of VFIO's groups and devices only, and forgets only what it was told of",
    needs: LEGACY,
    steps: [
      ...vm,
      ...container,
      openGroup("edu0"),
      refused("EINVAL", addFile("@kvm-vfio", "@container")),
      refused("EINVAL", addFile("@kvm-vfio", "@kvm")),
      refused("EINVAL", addFile("@kvm-vfio", "@vm")),
      refused("EINVAL", addFile("@kvm-vfio", "@kvm-vfio")),
      refused("EBADF", addFile("@kvm-vfio", -1)),
      refused("EBADF", addFile("@kvm-vfio", 900)),
      refused("EBADF", removeFile("@kvm-vfio", 900)),
      refused("ENOENT", removeFile("@kvm-vfio", "@container")),
      refused("ENOENT", removeFile("@kvm-vfio", "@group")),
      refused("EFAULT", ioctl("@kvm-vfio", "KVM_SET_DEVICE_ATTR", { group: 1, attr: 1, addr: 0 })),
      refused("ENXIO", ioctl("@kvm-vfio", "KVM_SET_DEVICE_ATTR", { group: 2, attr: 1, addr: 0 })),
      refused("ENXIO", ioctl("@kvm-vfio", "KVM_SET_DEVICE_ATTR", { group: 1, attr: 3, addr: 0 })),
      refused("EPERM", ioctl("@kvm-vfio", "KVM_GET_DEVICE_ATTR", { group: 1, attr: 1 })),
      refused("EFAULT", ioctl("@kvm-vfio", "KVM_SET_DEVICE_ATTR", {}, { place: "null" })),
      refused("ENOTTY", groupStatus("@kvm-vfio")),
    ],
  }),
  scenario({
    id: "vmm-device-file-of-group",
    title: "a VM may be told of a device's file that came from its group; the group stays untold",
    needs: { since: "6.6", kconfig: ["KVM", "VFIO_GROUP", "VFIO_CONTAINER"] },
    steps: [
      ...vm,
      ...container,
      openGroup("edu0"),
      setContainer("@group", "@container"),
      setIommu("@container"),
      getDeviceFd("@group", "edu0"),
      addFile("@kvm-vfio", "@device"),
      close("@device"),
      refused("EBUSY", unsetContainer("@group")),
      close("@kvm-vfio"),
      unsetContainer("@group"),
    ],
  }),
  scenario({
    id: "vmm-device-file-of-group-before-6.6",
    title: "a VM may be told of groups only",
    needs: { until: "6.5", kconfig: ["KVM", "VFIO_GROUP", "VFIO_CONTAINER"] },
    steps: [
      ...vm,
      ...container,
      openGroup("edu0"),
      setContainer("@group", "@container"),
      setIommu("@container"),
      getDeviceFd("@group", "edu0"),
      refused("EINVAL", addFile("@kvm-vfio", "@device")),
      addFile("@kvm-vfio", "@group"),
    ],
  }),
  scenario({
    id: "vmm-two-vms",
    title: "two VMs may be told of one group; who was told last is kept by the device",
    needs: HELD,
    steps: [
      openKvm(),
      createVm("@kvm", "@vm"),
      createKvmVfio("@vm", "@kvm-vfio"),
      createVm("@kvm", "@vm1"),
      createKvmVfio("@vm1", "@kvm-vfio1"),
      ...container,
      openGroup("edu0"),
      setContainer("@group", "@container"),
      setIommu("@container"),
      addFile("@kvm-vfio", "@group"),
      addFile("@kvm-vfio1", "@group"),
      getDeviceFd("@group", "edu0"),
      close("@kvm-vfio"),
      close("@vm"),
      gives(1, countVms),
      close("@kvm-vfio1"),
      close("@vm1"),
      gives(1, countVms),
      close("@device"),
      gives(0, countVms),
    ],
  }),
  scenario({
    id: "vmm-second-device",
    title: "a VM has one VFIO device at a time; asking whether it could is always right",
    needs: { kconfig: ["KVM"] },
    steps: [
      openKvm(),
      createVm(),
      refused("ENODEV", ioctl("@vm", "KVM_CREATE_DEVICE", { type: 99 })),
      refused("ENODEV", ioctl("@vm", "KVM_CREATE_DEVICE", { type: 99, flags: 1 })),
      createKvmVfio(),
      refused("EBUSY", createKvmVfio("@vm", "@kvm-vfio1")),
      testKvmVfio(),
      refused("EFAULT", ioctl("@vm", "KVM_CREATE_DEVICE", { type: 4, flags: 1 }, { place: "readonly" })),
      close("@kvm-vfio"),
      createKvmVfio(),
    ],
  }),
  ...closedInEveryOrder(),
];

type Closed = "@vm" | "@kvm-vfio" | "@group" | "@device";

/** What is open is closed in each of the 24 orders; the VM lives while its file, its device, or the open VFIO device does. */
function closedInEveryOrder(): Scenario[] {
  const orders = permutations<Closed>(["@vm", "@kvm-vfio", "@group", "@device"]);
  const round = (order: readonly Closed[], deviceKeeps: boolean): (Call | Step)[] => {
    const keepers = new Set<Closed>(deviceKeeps ? ["@vm", "@kvm-vfio", "@device"] : ["@vm", "@kvm-vfio"]);
    return [
      createVm(),
      createKvmVfio(),
      openGroup("edu0"),
      setContainer("@group", "@container"),
      setIommu("@container"),
      addFile("@kvm-vfio", "@group"),
      getDeviceFd("@group", "edu0"),
      ...order.flatMap((fd) => {
        keepers.delete(fd);
        return [close(fd), gives(keepers.size > 0 ? 1 : 0, countVms)];
      }),
    ];
  };
  const title = "a VM, its VFIO device, a group and its device are closed in every order, and nothing is left";
  const all = (deviceKeeps: boolean) => [openKvm(), openContainer(), ...orders.flatMap((o) => round(o, deviceKeeps))];
  return [
    scenario({ id: "vmm-closed-in-every-order", title, needs: HELD, steps: all(true) }),
    scenario({
      id: "vmm-closed-in-every-order-before-6.3",
      title: `${title}; the device keeps no VM`,
      needs: { until: "6.2", kconfig: LEGACY.kconfig },
      steps: all(false),
    }),
    scenario({
      id: "vmm-closed-in-every-order-cdev",
      title: "a VM, its VFIO device, a device's file and its iommufd are closed in every order, and nothing is left",
      needs: CDEV,
      steps: [openKvm(), ...permutations(["@vm", "@kvm-vfio", "@iommufd", "@device"]).flatMap(cdevRound)],
    }),
  ];
}

/** As above, through the device's own node; the file is held by the VM's device, too. */
function cdevRound(order: readonly string[]): (Call | Step)[] {
  const open = new Set(["@vm", "@kvm-vfio", "@device"]);
  return [
    createVm(),
    createKvmVfio(),
    openIommufd(),
    openCdev("edu0"),
    addFile("@kvm-vfio", "@device"),
    bind("@device", "@iommufd"),
    ...order.flatMap((fd) => {
      open.delete(fd);
      return [close(fd), gives(open.size > 0 ? 1 : 0, countVms)];
    }),
  ];
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((first) => permutations(items.filter((item) => item !== first)).map((rest) => [first, ...rest]));
}
