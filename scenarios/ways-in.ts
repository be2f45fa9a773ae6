/** The three ways to a device: group and container, group and iommufd, the device's own node. Each for both kinds of device. */
import type { Call } from "../model/program.ts";
import {
  allocIoas,
  attach,
  bind,
  close,
  createMdev,
  detach,
  getDeviceFd,
  getInfo,
  openCdev,
  openContainer,
  openGroup,
  openIommufd,
  removeMdev,
  setContainer,
  setIommu,
  unsetContainer,
} from "./calls.ts";
import { refused, type Scenario, scenario } from "./scenario.ts";

const LEGACY = { kconfig: ["VFIO_GROUP", "VFIO_CONTAINER"] } as const;
const COMPAT = { since: "6.2", kconfig: ["VFIO_GROUP", "IOMMUFD"] } as const;
const CDEV = { since: "6.6", kconfig: ["VFIO_DEVICE_CDEV", "IOMMUFD"] } as const;

/** An emulated device is made first and removed last; a PCI function is there. */
interface Kind {
  readonly id: string;
  readonly name: string;
  readonly device: string;
  readonly before: readonly Call[];
  readonly after: readonly Call[];
}

const KINDS: readonly Kind[] = [
  { id: "mdev", name: "a mediated device", device: "mdev0", before: [createMdev()], after: [removeMdev()] },
  { id: "pci", name: "a PCI function", device: "edu0", before: [], after: [] },
];

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
      refused("EINVAL", getDeviceFd("@group", device)),
      setContainer("@group", "@container"),
      refused("EINVAL", setContainer("@group", "@container")),
      refused("EINVAL", getDeviceFd("@group", device)),
      setIommu("@container"),
      getDeviceFd("@group", device),
      getInfo("@device"),
      refused("EBUSY", unsetContainer("@group")),
      close("@device"),
      unsetContainer("@group"),
      close("@group"),
      close("@container"),
      ...after,
    ],
  });

const compat = ({ id, name, device, before, after }: Kind): Scenario =>
  scenario({
    id: `compat-${id}`,
    title: `${name} is opened through its group, with an iommufd in place of the container`,
    needs: COMPAT,
    steps: [
      ...before,
      openIommufd(),
      openGroup(device),
      setContainer("@group", "@iommufd"),
      refused("EINVAL", setContainer("@group", "@iommufd")),
      getDeviceFd("@group", device),
      getInfo("@device"),
      getDeviceFd("@group", device, "@device1"),
      close("@device"),
      getInfo("@device1"),
      close("@device1"),
      close("@group"),
      close("@iommufd"),
      ...after,
    ],
  });

const cdev = ({ id, name, device, before, after }: Kind): Scenario =>
  scenario({
    id: `cdev-${id}`,
    title: `${name} is opened through its own node, bound to an iommufd and attached to an IOAS`,
    needs: CDEV,
    steps: [
      ...before,
      openIommufd(),
      openCdev(device),
      refused("EINVAL", getInfo("@device")),
      bind("@device", "@iommufd"),
      refused("EINVAL", bind("@device", "@iommufd", "@devid1")),
      getInfo("@device"),
      allocIoas("@iommufd"),
      attach("@device", "@ioas"),
      detach("@device"),
      close("@device"),
      close("@iommufd"),
      ...after,
    ],
  });

export const WAYS_IN: readonly Scenario[] = KINDS.flatMap((kind) => [legacy(kind), compat(kind), cdev(kind)]);
