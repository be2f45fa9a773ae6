/** Evidence: for each known deviation a program whose right outcomes an affected kernel does not give. */
import {
  addFile,
  allocIoas,
  attach,
  attachPasid,
  bind,
  close,
  countVms,
  createKvmVfio,
  createMdev,
  createVm,
  destroy,
  detach,
  getDeviceFd,
  getRegionInfo,
  hotResetInfo,
  ioctl,
  ioctlValue,
  map,
  openCdev,
  openContainer,
  openGroup,
  openIommufd,
  openKvm,
  setContainer,
  setIommu,
  unmap,
  unsetContainer,
} from "./calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const CDEV = { since: "6.6", kconfig: ["VFIO_DEVICE_CDEV", "IOMMUFD"] } as const;
const CDEV_KVM = { since: "6.6", kconfig: ["VFIO_DEVICE_CDEV", "IOMMUFD", "KVM"] } as const;
const IOMMUFD = { since: "6.2", kconfig: ["IOMMUFD"] } as const;
const LEGACY = { kconfig: ["VFIO_GROUP", "VFIO_CONTAINER"] } as const;

const VGA_REGION = 8;
const KVM_CAP_DEVICE_CTRL = 89;

/** A device that is bound for a VM, and the same device opened a second time. */
const boundForVm = [
  createMdev(),
  openKvm(),
  createVm(),
  createKvmVfio(),
  openCdev("mdev0"),
  addFile("@kvm-vfio", "@device"),
  openIommufd(),
  bind("@device", "@iommufd"),
  openCdev("mdev0", "@device1"),
];

const throughGroup = (device: string) => [
  openContainer(),
  openGroup(device),
  setContainer("@group", "@container"),
  setIommu("@container"),
  getDeviceFd("@group", device),
];

export const EVIDENCE: readonly Scenario[] = [
  scenario({
    id: "bind-drops-vm",
    breaks: "bind-drops-vm",
    title: "a bind that is refused leaves the VM alone that somebody else's open device holds",
    needs: CDEV_KVM,
    steps: [
      ...boundForVm,
      refused("EINVAL", bind("@device1", "@iommufd", "@devid1")),
      close("@kvm-vfio"),
      close("@vm"),
      gives(1, countVms),
      close("@device"),
      gives(0, countVms),
    ],
  }),
  scenario({
    id: "bind-leaks-vm",
    breaks: "bind-leaks-vm",
    title: "a bind that is refused to a file which a VM knows leaves no VM behind",
    needs: CDEV_KVM,
    steps: [
      ...boundForVm,
      addFile("@kvm-vfio", "@device1"),
      refused("EINVAL", bind("@device1", "@iommufd", "@devid1")),
      close("@kvm-vfio"),
      close("@vm"),
      close("@device1"),
      close("@device"),
      gives(0, countVms),
    ],
  }),
  scenario({
    id: "attach-fault-detaches",
    breaks: "attach-fault-detaches",
    title: "an attach that can't be answered leaves the device attached to what it was",
    needs: CDEV,
    steps: [
      createMdev(),
      openIommufd(),
      openCdev("mdev0"),
      bind("@device", "@iommufd"),
      allocIoas("@iommufd"),
      attach("@device", "@ioas"),
      refused(
        "EFAULT",
        ioctl("@device", "VFIO_DEVICE_ATTACH_IOMMUFD_PT", { argsz: 12, pt_id: "@ioas" }, { place: "readonly" }),
      ),
      refused("EBUSY", destroy("@iommufd", "@ioas")),
    ],
  }),
  scenario({
    id: "pasid-zero",
    breaks: "pasid-zero",
    title: "PASID 0 is no PASID to attach: a device is attached and detached without one",
    needs: { ...CDEV, since: "6.15" },
    steps: [
      openIommufd(),
      openCdev("edu0"),
      bind("@device", "@iommufd"),
      allocIoas("@iommufd"),
      refused("EINVAL", attachPasid("@device", "@ioas", 0)),
      attach("@device", "@ioas"),
      detach("@device"),
      destroy("@iommufd", "@ioas"),
    ],
  }),
  scenario({
    id: "kvm-device-fault-leaks",
    breaks: "kvm-device-fault-leaks",
    title: "a VFIO device of a VM whose descriptor can't be handed over is not made",
    needs: { kconfig: ["KVM"] },
    steps: [
      openKvm(),
      createVm(),
      refused("EFAULT", ioctl("@vm", "KVM_CREATE_DEVICE", { type: 4 }, { place: "readonly" })),
      createKvmVfio(),
    ],
  }),
  scenario({
    id: "device-ctrl-unsaid",
    breaks: "device-ctrl-unsaid",
    title: "a kernel whose VMs can have a VFIO device says that devices can be made",
    needs: { kconfig: ["KVM"] },
    steps: [
      openKvm(),
      gives(1, ioctlValue("@kvm", "KVM_CHECK_EXTENSION", KVM_CAP_DEVICE_CTRL)),
      createVm(),
      gives(1, ioctlValue("@vm", "KVM_CHECK_EXTENSION", KVM_CAP_DEVICE_CTRL)),
      createKvmVfio(),
    ],
  }),
  scenario({
    id: "ioas-fault-stays",
    breaks: "ioas-fault-stays",
    title: "a mapping, or an unmapping, that can't be answered is not done",
    needs: IOMMUFD,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      refused("EFAULT", map("@iommufd", "@ioas", 0x10000, 0x1000, "readonly")),
      map("@iommufd", "@ioas", 0x10000, 0x1000),
      refused("EFAULT", unmap("@iommufd", "@ioas", 0x10000, 0x1000, "readonly")),
      unmap("@iommufd", "@ioas", 0x10000, 0x1000),
    ],
  }),
  scenario({
    id: "ioas-unmap-partial",
    breaks: "ioas-unmap-partial",
    title: "an unmapping that would split a mapping removes none",
    needs: IOMMUFD,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      map("@iommufd", "@ioas", 0x10000, 0x1000),
      map("@iommufd", "@ioas", 0x11000, 0x2000),
      refused("ENOENT", unmap("@iommufd", "@ioas", 0x10000, 0x2000)),
      unmap("@iommufd", "@ioas", 0x10000, 0x1000),
      unmap("@iommufd", "@ioas", 0x11000, 0x2000),
    ],
  }),
  scenario({
    id: "vga-region-refused",
    breaks: "vga-region-refused",
    title: "a function that is no VGA adapter has a VGA region of size 0",
    needs: LEGACY,
    steps: [...throughGroup("edu0"), getRegionInfo("@device", VGA_REGION)],
  }),
  scenario({
    id: "group-changes-backend",
    breaks: "group-changes-backend",
    title: "a device that is open through a group's iommufd and then its container is closed as it was opened",
    needs: { since: "6.2", kconfig: ["VFIO_GROUP", "VFIO_CONTAINER", "IOMMUFD"] },
    steps: [
      createMdev(),
      openIommufd(),
      openGroup("mdev0"),
      setContainer("@group", "@iommufd"),
      getDeviceFd("@group", "mdev0"),
      unsetContainer("@group"),
      openContainer(),
      setContainer("@group", "@container"),
      setIommu("@container"),
      getDeviceFd("@group", "mdev0", "@device1"),
      close("@device"),
      close("@device1"),
      unsetContainer("@group"),
      close("@group"),
      openGroup("mdev0", "@group1"),
    ],
  }),
  scenario({
    id: "hot-reset-info-header",
    breaks: "hot-reset-info-header",
    title: "hot reset information that can't be written to its end is not told by halves",
    needs: LEGACY,
    // Room for two functions, of which only the header is mapped.
    steps: [...throughGroup("bridged0"), refused("EFAULT", hotResetInfo("@device", 2, 12))],
  }),
];
