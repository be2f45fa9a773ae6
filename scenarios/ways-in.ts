/**
 * The three ways to a device from end to end: group and container, group and iommufd, the device's own node. Each for a PCI
 * function, an emulated device that is there and one that is made for it, with what must be refused on the way.
 */
import type { Call } from "../model/program.ts";
import {
  allocIoas,
  attach,
  bind,
  clearCompatIoas,
  close,
  createMdev,
  destroy,
  detach,
  getCompatIoas,
  getDeviceFd,
  getInfo,
  getStatus,
  locked,
  map,
  openCdev,
  openContainer,
  openGroup,
  openIommufd,
  pinned,
  removeMdev,
  setCompatIoas,
  setContainer,
  setIommu,
  unmap,
  unsetContainer,
} from "./calls.ts";
import { CDEV, COMPAT, LEGACY } from "./needs.ts";
import { gives, refused, type Scenario, type Step, scenario } from "./scenario.ts";

const COMPAT_NODE = { since: "6.2", kconfig: ["VFIO_GROUP", "IOMMUFD_VFIO_CONTAINER"] } as const;

/** An emulated device may be made first and removed last; a PCI function is there. */
interface Kind {
  readonly id: string;
  readonly name: string;
  readonly device: string;
  readonly before: readonly Call[];
  readonly after: readonly Call[];
  /** KiB that a mapping of 64 KiB pins: an emulated device reaches memory through the CPU. */
  readonly pins: number;
}

const KINDS: readonly Kind[] = [
  { id: "mdev", name: "a mediated device", device: "mdev0", before: [createMdev()], after: [removeMdev()], pins: 0 },
  { id: "mtty", name: "a standing emulated device", device: "mtty0", before: [], after: [], pins: 0 },
  { id: "pci", name: "a PCI function", device: "edu0", before: [], after: [], pins: 64 },
];

const IOVA = 0x10000;
const LENGTH = 0x10000;

const legacy = ({ id, name, device, before, after }: Kind): Scenario =>
  scenario({
    id: `legacy-${id}`,
    title: `${name} is opened through its group and a container`,
    needs: LEGACY,
    steps: [
      ...before,
      openContainer(),
      refused("EINVAL", setIommu("@container")),
      openGroup(device),
      getStatus("@group"),
      refused("EINVAL", unsetContainer("@group")),
      refused("EINVAL", getDeviceFd("@group", device)),
      setContainer("@group", "@container"),
      getStatus("@group"),
      refused("EINVAL", setContainer("@group", "@container")),
      refused("EINVAL", getDeviceFd("@group", device)),
      setIommu("@container"),
      refused("EINVAL", setIommu("@container")),
      getDeviceFd("@group", device),
      getInfo("@device"),
      getDeviceFd("@group", device, "@device1"),
      refused("EBUSY", unsetContainer("@group")),
      close("@device"),
      getInfo("@device1"),
      refused("EBUSY", unsetContainer("@group")),
      close("@device1"),
      unsetContainer("@group"),
      close("@group"),
      close("@container"),
      ...after,
    ],
  });

/** Group and iommufd, which is opened by one node or the other. */
const throughIommufd = ({ device, before, after, pins }: Kind, open: Call): (Call | Step)[] => [
  ...before,
  open,
  refused("ENODEV", getCompatIoas("@iommufd")),
  refused("ENODEV", setIommu("@iommufd")),
  openGroup(device),
  setContainer("@group", "@iommufd"),
  getStatus("@group"),
  refused("EINVAL", setContainer("@group", "@iommufd")),
  setIommu("@iommufd"),
  getCompatIoas("@iommufd"),
  getDeviceFd("@group", device),
  getInfo("@device"),
  refused("EBUSY", destroy("@iommufd", "@compat")),
  map("@iommufd", "@compat", IOVA, LENGTH),
  gives(pins, pinned),
  getDeviceFd("@group", device, "@device1"),
  close("@device"),
  getInfo("@device1"),
  unmap("@iommufd", "@compat", IOVA, LENGTH),
  gives(0, pinned),
  close("@device1"),
  destroy("@iommufd", "@compat"),
  refused("ENODEV", getDeviceFd("@group", device)),
  allocIoas("@iommufd"),
  setCompatIoas("@iommufd", "@ioas"),
  getDeviceFd("@group", device, "@device2"),
  clearCompatIoas("@iommufd"),
  getInfo("@device2"),
  close("@device2"),
  close("@group"),
  close("@iommufd"),
  ...after,
];

const compat = (kind: Kind): Scenario =>
  scenario({
    id: `compat-${kind.id}`,
    title: `${kind.name} is opened through its group, with an iommufd in place of the container`,
    needs: COMPAT,
    steps: throughIommufd(kind, openIommufd()),
  });

const compatNode = (kind: Kind): Scenario =>
  scenario({
    id: `compat-node-${kind.id}`,
    title: `${kind.name} is opened through its group, with the iommufd that is behind /dev/vfio/vfio`,
    needs: COMPAT_NODE,
    steps: throughIommufd(kind, openContainer("@iommufd")),
  });

const cdev = ({ id, name, device, before, after, pins }: Kind): Scenario =>
  scenario({
    id: `cdev-${id}`,
    title: `${name} is opened through its own node, bound to an iommufd and attached to an IOAS`,
    needs: CDEV,
    steps: [
      ...before,
      openIommufd(),
      openCdev(device),
      openCdev(device, "@other"),
      refused("EINVAL", getInfo("@device")),
      refused("EINVAL", attach("@device", 1)),
      refused("EINVAL", bind("@device", -1)),
      refused("EBADFD", bind("@device", "@other")),
      bind("@device", "@iommufd"),
      refused("EINVAL", bind("@device", "@iommufd", "@devid1")),
      refused("EINVAL", bind("@other", "@iommufd", "@devid1")),
      refused("EINVAL", getInfo("@other")),
      getInfo("@device"),
      refused("EBUSY", destroy("@iommufd", "@devid")),
      refused("ENOENT", attach("@device", 77)),
      allocIoas("@iommufd"),
      map("@iommufd", "@ioas", IOVA, LENGTH),
      gives(0, pinned),
      attach("@device", "@ioas"),
      gives(pins, pinned),
      attach("@device", "@ioas", "@again"),
      allocIoas("@iommufd", "@ioas1"),
      attach("@device", "@ioas1", "@hwpt1"),
      gives(0, pinned),
      destroy("@iommufd", "@ioas"),
      refused("EBUSY", destroy("@iommufd", "@ioas1")),
      detach("@device"),
      detach("@device"),
      destroy("@iommufd", "@ioas1"),
      close("@device"),
      bind("@other", "@iommufd", "@devid1"),
      // The device keeps the iommufd that it is bound to.
      close("@iommufd"),
      getInfo("@other"),
      close("@other"),
      ...after,
    ],
  });

const KIB = 1024;

/** What /dev/vfio/vfio is for accounting, whoever is behind it. */
const compatNodeCounts = scenario({
  id: "compat-node-counts",
  title:
    "what is pinned through an iommufd that was opened as /dev/vfio/vfio counts for the process, as a container's does",
  needs: COMPAT_NODE,
  steps: [
    openContainer("@iommufd"),
    openGroup("edu0"),
    setContainer("@group", "@iommufd"),
    getDeviceFd("@group", "edu0"),
    getCompatIoas("@iommufd"),
    { op: "capset", without: ["CAP_IPC_LOCK"] },
    { op: "prlimit", resource: "RLIMIT_MEMLOCK", soft: LENGTH, hard: LENGTH },
    map("@iommufd", "@compat", IOVA, LENGTH),
    gives(LENGTH / KIB, locked),
    refused("ENOMEM", map("@iommufd", "@compat", IOVA + LENGTH, 0x1000)),
    unmap("@iommufd", "@compat", IOVA, LENGTH),
    gives(0, locked),
  ],
});

export const WAYS_IN: readonly Scenario[] = [
  ...KINDS.flatMap((kind) => [legacy(kind), compat(kind), compatNode(kind), cdev(kind)]),
  compatNodeCounts,
];
