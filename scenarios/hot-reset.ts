/** Hot resets: two functions behind a bridge are reset together, by who owns both. */
import {
  bind,
  bindDriver,
  close,
  hotReset,
  hotResetInfo,
  openCdev,
  openGroup,
  openIommufd,
  throughContainer,
  throughNode,
  unbindDriver,
} from "./calls.ts";
import { CDEV, LEGACY } from "./needs.ts";
import { refused, type Scenario, scenario } from "./scenario.ts";

/** `bridged0` through its group, which `bridged1` is in too. */
const openByGroup = [...throughContainer("bridged0")];

export const HOT_RESET: readonly Scenario[] = [
  scenario({
    id: "hot-reset-by-group",
    title: "a hot reset is done for who shows the group that all functions hit are in",
    needs: LEGACY,
    steps: [
      ...openByGroup,
      refused("ENOSPC", hotResetInfo("@device", 0)),
      refused("ENOSPC", hotResetInfo("@device", 1)),
      hotResetInfo("@device", 2),
      hotReset("@device", "@group"),
    ],
  }),
  scenario({
    id: "hot-reset-not-shown",
    title: "a hot reset is refused to who shows no group, another one, or what is none",
    needs: LEGACY,
    steps: [
      ...openByGroup,
      refused("EINVAL", hotReset("@device")),
      refused("EBADF", hotReset("@device", -1)),
      refused("EINVAL", hotReset("@device", "@container")),
      openGroup("edu0", "@group1"),
      refused("EINVAL", hotReset("@device", "@group1")),
      refused("EINVAL", hotReset("@device", "@group", "@group1", "@group")),
      hotReset("@device", "@group", "@group1"),
    ],
  }),
  scenario({
    id: "hot-reset-by-iommufd",
    title: "a hot reset is done for who has all functions that are hit in one iommufd, without descriptors",
    needs: CDEV,
    steps: [
      openIommufd(),
      openCdev("bridged0"),
      refused("EINVAL", hotReset("@device")),
      bind("@device", "@iommufd"),
      hotResetInfo("@device", 2),
      hotReset("@device"),
      openCdev("bridged1", "@device1"),
      bind("@device1", "@iommufd", "@devid1"),
      hotReset("@device1"),
      refused("EINVAL", hotReset("@device", "@iommufd")),
    ],
  }),
  scenario({
    id: "hot-reset-driver-gone",
    title: "a hot reset is refused while a function that it hits is bound to no driver of VFIO",
    needs: CDEV,
    steps: [
      ...throughNode("bridged0"),
      unbindDriver("vfio-pci", "bridged1"),
      hotResetInfo("@device", 2),
      refused("EINVAL", hotReset("@device")),
      bindDriver("vfio-pci", "bridged1"),
      hotReset("@device"),
      close("@device"),
    ],
  }),
];
