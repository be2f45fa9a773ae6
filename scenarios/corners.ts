/** Corners: rules that programs made at random seldom come to. */
import { MEMORY } from "../model/kernel/memory-map.ts";
import type { Call, FieldValue, Place } from "../model/program.ts";
import {
  allocIoas,
  attach,
  bind,
  bindDriver,
  close,
  getDeviceFd,
  ioctl,
  map,
  openCdev,
  openContainer,
  openGroup,
  openIommufd,
  setContainer,
  setIommu,
  unbindDriver,
  unmap,
} from "./calls.ts";
import { refused, type Scenario, scenario } from "./scenario.ts";

const CDEV = { since: "6.6", kconfig: ["VFIO_DEVICE_CDEV", "IOMMUFD"] } as const;
const BY_GROUP = { kconfig: ["VFIO_GROUP", "VFIO_CONTAINER"] } as const;

const writeText = (driver: string, text: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "bind", driver },
  text: { text },
});

const override = (device: string, text: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "driver_override", device },
  text: { text },
});

const makeMdev = (parent: string, type: string, text: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "mdev-create", parent, type },
  text: { text },
});

/** UUIDs that no device of a machine has. */
const uuid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;

const PAGE = 0x1000;
const READ_WRITE = 6;
const FIXED_READ_WRITE = 7;
const U64_MAX = 2n ** 64n - 1n;

/** IOMMU_IOAS_MAP with these fields; the kernel chooses the IOVA unless told. */
const mapping = (fields: Readonly<Record<string, FieldValue>>): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_MAP", { size: 40, flags: READ_WRITE, ioas_id: "@ioas", ...fields });

const [GET, SET, CLEAR] = [0, 1, 2];

/** IOMMU_VFIO_IOAS */
const vfioIoas = (op: number, place?: Place): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_VFIO_IOAS",
    op === SET ? { size: 12, ioas_id: "@ioas", op } : { size: 12, op },
    place === undefined ? {} : { place },
  );

/** A bind that says a token lies somewhere. */
const bindWithToken = (place?: Place): Call =>
  ioctl("@device", "VFIO_DEVICE_BIND_IOMMUFD", {
    argsz: 24,
    flags: 1,
    iommufd: "@iommufd",
    token_uuid_ptr: place === undefined ? { fields: {} } : { fields: {}, place },
  });

/** A function that is attached to an IOAS. */
const attached = [
  openIommufd(),
  openCdev("edu0"),
  bind("@device", "@iommufd"),
  allocIoas("@iommufd"),
  attach("@device", "@ioas"),
];

export const CORNERS: readonly Scenario[] = [
  scenario({
    id: "sysfs-texts",
    title: "attributes of drivers take names of devices, and an override that fits a page",
    steps: [
      refused("ENODEV", writeText("vfio-pci", "0000:ff:1f.7")),
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
    id: "mdev-parent-full",
    title: "a parent makes as many mediated devices as it says, and not one more",
    steps: [
      makeMdev("mdpy", "mdpy-vga", uuid(1)),
      makeMdev("mdpy", "mdpy-xga", uuid(2)),
      makeMdev("mdpy", "mdpy-hd", uuid(3)),
      refused("EUSERS", makeMdev("mdpy", "mdpy-vga", uuid(4))),
      ...Array.from({ length: 11 }, (_, n) => makeMdev("mtty", "mtty-2", uuid(0x10 + n))),
      refused("ENOSPC", makeMdev("mtty", "mtty-2", uuid(0x20))),
      makeMdev("mtty", "mtty-1", uuid(0x21)),
      refused("ENOSPC", makeMdev("mtty", "mtty-1", uuid(0x22))),
    ],
  }),
  scenario({
    id: "native-driver-in-group",
    title:
      "a group is no user's while a function of it has a driver that does DMA, nor such a driver's while it is a user's",
    needs: BY_GROUP,
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
    needs: BY_GROUP,
    steps: [
      openContainer(),
      openGroup("bridged0"),
      setContainer("@group", "@container"),
      setIommu("@container"),
      getDeviceFd("@group", "bridged0"),
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
    id: "ioas-of-function",
    title: "with a function attached memory is looked at when it is mapped, and there is no room above its reach",
    needs: CDEV,
    steps: [
      ...attached,
      refused("EFAULT", mapping({ user_va: MEMORY.userReadonly, length: PAGE })),
      refused("EFAULT", mapping({ user_va: MEMORY.hole, length: PAGE })),
      refused("ENOSPC", mapping({ user_va: MEMORY.user, length: 2 ** 50 })),
      refused("EINVAL", mapping({ flags: READ_WRITE | 1, user_va: MEMORY.user, length: PAGE, iova: 0xfee0_0000 })),
      map("@iommufd", "@ioas", 0, PAGE),
      unmap("@iommufd", "@ioas", 0, Number.MAX_SAFE_INTEGER),
    ],
  }),
  scenario({
    id: "ioas-ends",
    title: "mappings and unmappings at the ends of the address space, and not aligned",
    needs: CDEV,
    steps: [
      ...attached,
      refused("EINVAL", mapping({ user_va: MEMORY.user, length: PAGE + 1 })),
      refused("EINVAL", mapping({ user_va: MEMORY.user + 1n, length: PAGE })),
      refused("EINVAL", mapping({ flags: FIXED_READ_WRITE, user_va: MEMORY.user, length: PAGE, iova: 1 })),
      refused(
        "EOVERFLOW",
        mapping({ flags: FIXED_READ_WRITE, user_va: MEMORY.user, length: 2 * PAGE, iova: U64_MAX - BigInt(PAGE) + 1n }),
      ),
      refused("EOVERFLOW", mapping({ user_va: MEMORY.user, length: 2n ** 63n })),
      refused("EINVAL", unmap("@iommufd", "@ioas", 0, 0)),
      map("@iommufd", "@ioas", 0, PAGE),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
    ],
  }),
  scenario({
    id: "ioas-does-not-suit",
    title: "a function is not attached to an IOAS with mappings that are not aligned, out of its reach, or in its way",
    needs: CDEV,
    steps: [
      openIommufd(),
      openCdev("edu0"),
      bind("@device", "@iommufd"),
      allocIoas("@iommufd"),
      map("@iommufd", "@ioas", 0x1001, 1),
      refused("EADDRINUSE", attach("@device", "@ioas")),
      unmap("@iommufd", "@ioas", 0x1001, 1),
      map("@iommufd", "@ioas", 2 ** 50, PAGE),
      refused("EADDRINUSE", attach("@device", "@ioas")),
      unmap("@iommufd", "@ioas", 2 ** 50, PAGE),
      map("@iommufd", "@ioas", 0xfee0_0000, PAGE),
      refused("EADDRINUSE", attach("@device", "@ioas")),
      unmap("@iommufd", "@ioas", 0xfee0_0000, PAGE),
      attach("@device", "@ioas"),
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
    needs: BY_GROUP,
    steps: [
      openContainer(),
      openGroup("rooted0"),
      setContainer("@group", "@container"),
      setIommu("@container"),
      getDeviceFd("@group", "rooted0"),
      ioctl("@device", "VFIO_DEVICE_GET_REGION_INFO", { argsz: 32, index: 0 }),
      ioctl("@device", "VFIO_DEVICE_GET_REGION_INFO", { argsz: 128, index: 0 }),
    ],
  }),
  scenario({
    id: "compat-ioas",
    title: "the IOAS that stands in for a container can be set, told, and taken away",
    needs: { since: "6.2", kconfig: ["IOMMUFD"] },
    steps: [
      openIommufd(),
      refused("ENODEV", vfioIoas(GET)),
      allocIoas("@iommufd"),
      vfioIoas(SET),
      vfioIoas(GET),
      refused("EFAULT", vfioIoas(GET, "readonly")),
      vfioIoas(CLEAR),
      refused("ENODEV", vfioIoas(GET)),
    ],
  }),
  scenario({
    id: "iommufd-read-only",
    title: "an iommufd that is open for reading has no shared mappings",
    needs: { since: "6.17", kconfig: ["IOMMUFD"] },
    steps: [
      { op: "open", node: { kind: "iommufd" }, as: "@iommufd", flags: 0 },
      refused("EINVAL", { op: "mmap", fd: "@iommufd", length: PAGE, prot: 1, offset: 0 }),
    ],
  }),
  scenario({
    id: "group-shares-page-table",
    title: "functions of one group are attached to one page table",
    needs: CDEV,
    steps: [
      openIommufd(),
      openCdev("nic0.0"),
      bind("@device", "@iommufd"),
      openCdev("nic0.1", "@device1"),
      bind("@device1", "@iommufd", "@devid1"),
      allocIoas("@iommufd"),
      attach("@device", "@ioas"),
      allocIoas("@iommufd", "@ioas1"),
      refused("EINVAL", attach("@device1", "@ioas1", "@hwpt1")),
      attach("@device1", "@ioas", "@hwpt1"),
      attach("@device", "@ioas1", "@hwpt2"),
    ],
  }),
];
