/** Corners: rules that programs made at random seldom come to. */
import { MEMORY } from "../model/kernel/memory-map.ts";
import type { Call, Fields, Place } from "../model/program.ts";
import { DIRTY, DirtyPages, DmaMap, DmaUnmap, MAP, UNMAP } from "../model/vfio/type1-layouts.ts";
import {
  bind,
  bindDriver,
  close,
  containerOf,
  getDeviceFd,
  ioctl,
  openCdev,
  openContainer,
  openGroup,
  openIommufd,
  setContainer,
  setIommu,
  throughContainer,
  unbindDriver,
} from "./calls.ts";
import { compatInfo } from "./compat.ts";
import { CDEV, LEGACY } from "./needs.ts";
import { refused, type Scenario, scenario } from "./scenario.ts";

const bindText = (driver: string, text: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "bind", driver },
  text: { text },
});

const override = (device: string, text: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "driver_override", device },
  text: { text },
});

/** Maps so many bytes; where no IOMMU is told of them, there need be no memory. */
const mapDma = (size: bigint, fields: Fields = {}): Call =>
  ioctl("@container", "VFIO_IOMMU_MAP_DMA", { argsz: DmaMap.size, flags: MAP.READ, size, ...fields });

const dirtyPages = (flags: number, fields: Fields = {}, place?: Place): Call =>
  ioctl("@container", "VFIO_IOMMU_DIRTY_PAGES", { argsz: DirtyPages.size, flags, ...fields }, at(place));

const unmapDma = (fields: Fields, place?: Place): Call =>
  ioctl("@container", "VFIO_IOMMU_UNMAP_DMA", { argsz: DmaUnmap.size, ...fields }, at(place));

const at = (place?: Place) => (place === undefined ? {} : { place });

/** The last page that has an address. */
const LAST_PAGE = 0xffff_ffff_ffff_f000n;

/** A container with a backend that no IOMMU is behind. */
const CONTAINER = containerOf("mtty0");

/** A bind that says a token lies somewhere. */
const bindWithToken = (place?: Place): Call =>
  ioctl("@device", "VFIO_DEVICE_BIND_IOMMUFD", {
    argsz: 24,
    flags: 1,
    iommufd: "@iommufd",
    token_uuid_ptr: place === undefined ? { fields: {} } : { fields: {}, place },
  });

export const CORNERS: readonly Scenario[] = [
  scenario({
    id: "sysfs-texts",
    title: "attributes of drivers take names of devices, and an override that fits a page",
    steps: [
      refused("ENODEV", bindText("vfio-pci", "0000:ff:1f.7")),
      refused("EINVAL", override("edu0", "x".repeat(4095))),
      refused("EACCES", { op: "sysfs-read", attribute: { kind: "bind", driver: "vfio-pci" } }),
      refused("EACCES", {
        op: "sysfs-write",
        attribute: { kind: "available_instances", parent: "mtty", type: "mtty-1" },
        text: { text: "1" },
      }),
    ],
  }),
  scenario({
    id: "native-driver-in-group",
    title:
      "a group is no user's while a function of it has a driver that does DMA, nor such a driver's while it is a user's",
    needs: LEGACY,
    steps: [
      unbindDriver("vfio-pci", "nic0.1"),
      override("nic0.1", "e1000e"),
      bindDriver("e1000e", "nic0.1"),
      openGroup("nic0.0"),
      ioctl("@group", "VFIO_GROUP_GET_STATUS", { argsz: 8 }),
      openContainer(),
      refused("EPERM", setContainer("@group", "@container")),
      unbindDriver("e1000e", "nic0.1"),
      setContainer("@group", "@container"),
      refused("EBUSY", bindDriver("e1000e", "nic0.1")),
    ],
  }),
  scenario({
    id: "hot-reset-by-group-refused",
    title: "a hot reset is refused where the bus can't be reset, a driver is gone, or descriptors can't be read",
    needs: LEGACY,
    steps: [
      ...throughContainer("bridged0"),
      refused(
        "EFAULT",
        ioctl("@device", "VFIO_DEVICE_PCI_HOT_RESET", { argsz: 16, count: 1, group_fds: ["@group"] }, { place: 12 }),
      ),
      unbindDriver("vfio-pci", "bridged1"),
      refused("EINVAL", ioctl("@device", "VFIO_DEVICE_PCI_HOT_RESET", { argsz: 16, count: 1, group_fds: ["@group"] })),
      bindDriver("vfio-pci", "bridged1"),
      close("@device"),
      close("@group"),
      close("@container"),
      openContainer("@container1"),
      openGroup("edu0", "@group1"),
      setContainer("@group1", "@container1"),
      setIommu("@container1"),
      getDeviceFd("@group1", "edu0", "@device1"),
      refused(
        "ENODEV",
        ioctl("@device1", "VFIO_DEVICE_PCI_HOT_RESET", { argsz: 16, count: 1, group_fds: ["@group1"] }),
      ),
    ],
  }),
  scenario({
    id: "bind-token",
    title: "the token of a bind is read, and only a virtual function has one",
    needs: { ...CDEV, since: "6.17" },
    steps: [
      openIommufd(),
      openCdev("edu0"),
      refused("EFAULT", bindWithToken("unmapped")),
      refused("EINVAL", bindWithToken()),
      bind("@device", "@iommufd"),
    ],
  }),
  scenario({
    id: "capabilities-follow",
    title: "the capabilities of a region follow the struct where there is room for them",
    needs: LEGACY,
    steps: [
      ...throughContainer("rooted0"),
      ioctl("@device", "VFIO_DEVICE_GET_REGION_INFO", { argsz: 32, index: 0 }),
      ioctl("@device", "VFIO_DEVICE_GET_REGION_INFO", { argsz: 128, index: 0 }),
    ],
  }),
  scenario({
    id: "mapping-too-large",
    title:
      "while dirty pages are logged nothing is mapped that is too large for a bitmap, and with it logging can't begin",
    needs: LEGACY,
    steps: [
      ...CONTAINER,
      dirtyPages(DIRTY.START),
      refused("EINVAL", mapDma(1n << 44n)),
      dirtyPages(DIRTY.STOP),
      mapDma(1n << 44n),
      refused("EINVAL", dirtyPages(DIRTY.START)),
    ],
  }),
  scenario({
    id: "mapping-unreadable",
    title: "a struct for mappings must be there as far as its flags say, and a range be of whole pages",
    needs: LEGACY,
    steps: [
      ...CONTAINER,
      refused("EINVAL", mapDma(0n)),
      refused("EFAULT", dirtyPages(DIRTY.START, {}, 4)),
      refused("EFAULT", dirtyPages(DIRTY.GET_BITMAP, { size: 1n << 20n }, 8)),
      refused("EFAULT", unmapDma({ flags: UNMAP.GET_DIRTY_BITMAP, size: 1n << 20n }, 24)),
      refused("EINVAL", unmapDma({ size: 1 })),
      refused("EINVAL", unmapDma({ iova: 1, size: 0x1000 })),
      refused("EINVAL", unmapDma({ argsz: 24, flags: UNMAP.GET_DIRTY_BITMAP, size: 0x1000 })),
      refused("EINVAL", dirtyPages(DIRTY.GET_BITMAP, { argsz: 8, size: 0x1000 })),
      refused("EINVAL", dirtyPages(8)),
      refused("EFAULT", compatInfo(88, "@container", 8)),
      refused("EINVAL", compatInfo(12, "@container")),
      refused("EFAULT", compatInfo(88, "@container", "readonly")),
    ],
  }),
  scenario({
    id: "mapping-in-reserved",
    title: "no group joins while something is mapped where its devices reach interrupts",
    needs: LEGACY,
    steps: [
      ...CONTAINER,
      mapDma(0x1000n, { iova: 0xfee0_0000n, vaddr: MEMORY.user }),
      openGroup("edu0", "@group1"),
      refused("EINVAL", setContainer("@group1", "@container")),
    ],
  }),
  scenario({
    id: "bitmap-of-large-pages",
    title: "a bit of a dirty bitmap is a page of the smallest size, and the range is of such pages",
    needs: LEGACY,
    steps: [
      ...CONTAINER,
      dirtyPages(DIRTY.START),
      refused("EINVAL", dirtyPages(DIRTY.GET_BITMAP, { size: 4 << 20, bitmap_pgsize: 2 << 20, bitmap_size: 8 })),
      refused("EINVAL", dirtyPages(DIRTY.GET_BITMAP, { iova: 1, size: 0x1000, bitmap_pgsize: 4096, bitmap_size: 8 })),
    ],
  }),
  scenario({
    id: "bind-unwritable",
    title: "a device whose id can't be told is not bound",
    needs: CDEV,
    steps: [
      openIommufd(),
      openCdev("mtty0"),
      refused(
        "EFAULT",
        ioctl("@device", "VFIO_DEVICE_BIND_IOMMUFD", { argsz: 16, iommufd: "@iommufd" }, { place: "readonly" }),
      ),
      bind("@device", "@iommufd"),
    ],
  }),
  scenario({
    id: "mapping-ends",
    title: "a range of mappings has a size and ends where addresses do",
    needs: { ...LEGACY, since: "6.18" },
    steps: [
      ...CONTAINER,
      dirtyPages(DIRTY.START),
      refused("EINVAL", dirtyPages(DIRTY.GET_BITMAP)),
      refused("EOVERFLOW", dirtyPages(DIRTY.GET_BITMAP, { iova: LAST_PAGE, size: 0x2000 })),
      refused("EOVERFLOW", unmapDma({ iova: LAST_PAGE, size: 0x2000 })),
    ],
  }),
  scenario({
    id: "mapping-ends-before-6.18",
    title: "a range of mappings ends where addresses do, and the errno does not tell it from any other mistake",
    needs: { ...LEGACY, until: "6.17" },
    steps: [
      ...CONTAINER,
      refused("EINVAL", mapDma(0x2000n, { iova: LAST_PAGE })),
      dirtyPages(DIRTY.START),
      refused("EINVAL", dirtyPages(DIRTY.GET_BITMAP, { iova: LAST_PAGE, size: 0x2000 })),
      refused("EINVAL", unmapDma({ iova: LAST_PAGE, size: 0x2000 })),
    ],
  }),
  scenario({
    id: "mapping-address-taken",
    title: "the address of a mapping is taken away once, and given again once",
    needs: LEGACY,
    steps: [
      ...containerOf("edu0"),
      mapDma(0x1000n, { vaddr: MEMORY.user }),
      unmapDma({ flags: UNMAP.VADDR, size: 0x1000 }),
      refused("EINVAL", unmapDma({ flags: UNMAP.VADDR, size: 0x1000 })),
      mapDma(0x1000n, { flags: MAP.VADDR, vaddr: MEMORY.user }),
      refused("EINVAL", mapDma(0x1000n, { flags: MAP.VADDR, vaddr: MEMORY.user })),
    ],
  }),
];
