/** Who keeps whom out: groups that are open, devices bound through their own nodes, objects in use. */
import {
  allocIoas,
  attach,
  bind,
  close,
  createMdev,
  destroy,
  detach,
  dup,
  map,
  openCdev,
  openGroup,
  openIommufd,
  throughNode,
} from "./calls.ts";
import { refused, type Scenario, scenario } from "./scenario.ts";

const CDEV = { since: "6.6", kconfig: ["VFIO_GROUP", "VFIO_DEVICE_CDEV", "IOMMUFD"] } as const;

export const EXCLUSION: readonly Scenario[] = [
  scenario({
    id: "group-opens-once",
    title: "a group can be open once, until its last descriptor is closed",
    needs: { kconfig: ["VFIO_GROUP"] },
    steps: [
      openGroup("nic0.0"),
      refused("EBUSY", openGroup("nic0.0", "@group1")),
      refused("EBUSY", openGroup("nic0.1", "@group1")),
      dup("@group", "@group2"),
      close("@group"),
      refused("EBUSY", openGroup("nic0.0", "@group1")),
      close("@group2"),
      openGroup("nic0.1", "@group1"),
    ],
  }),
  scenario({
    id: "group-or-node",
    title:
      "an open group keeps its devices from being bound through their nodes, and a bound device its group from being opened",
    needs: CDEV,
    steps: [
      openIommufd(),
      openCdev("nic0.0"),
      openGroup("nic0.1"),
      refused("EBUSY", bind("@device", "@iommufd")),
      close("@group"),
      bind("@device", "@iommufd"),
      refused("EBUSY", openGroup("nic0.1")),
      close("@device"),
      openGroup("nic0.1"),
    ],
  }),
  scenario({
    id: "destroy-in-use",
    title: "an IOAS that a device is attached to can't be destroyed; once detached it can, mappings and all",
    needs: CDEV,
    steps: [
      createMdev(),
      ...throughNode("mdev0"),
      allocIoas("@iommufd"),
      attach("@device", "@ioas"),
      map("@iommufd", "@ioas", 0x10000, 0x1000),
      refused("EBUSY", destroy("@iommufd", "@ioas")),
      detach("@device"),
      destroy("@iommufd", "@ioas"),
      refused("ENOENT", destroy("@iommufd", "@ioas")),
    ],
  }),
];
