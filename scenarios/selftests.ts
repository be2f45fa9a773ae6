/**
 * What the kernel's own selftests check (tools/testing/selftests/vfio of Linux 7.2), with the errno that each refusal must
 * have. docs/selftests.md says which scenario stands for which test, and why some have none.
 */

import { MEMORY, PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Value } from "../model/program.ts";
import { U64_MAX } from "../model/uapi/u64.ts";
import { REGION_SIZE } from "../model/vfio/device-info.ts";
import { DmaUnmap, UNMAP } from "../model/vfio/type1-layouts.ts";
import {
  allocIoas,
  attach,
  bind,
  close,
  detach,
  getDeviceFd,
  getInfo,
  getIrqInfo,
  getRegionInfo,
  ioctl,
  ioctlValue,
  map,
  openCdev,
  openContainer,
  openEventfd,
  openGroup,
  openIommufd,
  read,
  setContainer,
  setIommu,
  unmap,
} from "./calls.ts";
import { CDEV, LEGACY } from "./needs.ts";
import { gives, refused, type Scenario, type Step, scenario } from "./scenario.ts";
import { mapDma, unmapDma } from "./type1.ts";

/** The last page that an IOMMU of 39 bits translates, which is what QEMU's has. */
const LAST_PAGE = 2 ** 39 - PAGE;
const TOP_PAGE = 0xffff_ffff_ffff_f000n;
const U32_MAX = 0xffff_ffff;
const MAP_FIXED_READ_WRITE = 7;

const BARS = [0, 1, 2, 3, 4, 5];
const CONFIG_REGION = 7;
const MSI = 1;

const mapAt = (iova: Value, length: Value): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_MAP", {
    size: 40,
    flags: MAP_FIXED_READ_WRITE,
    ioas_id: "@ioas",
    user_va: MEMORY.user,
    length,
    iova,
  });
const unmapAt = (iova: Value, length: Value): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_UNMAP", { size: 24, ioas_id: "@ioas", iova, length });

/** FIXTURE(vfio_cdev) */
const cdev = (device: string): Call[] => [openCdev(device), openIommufd()];

/** vfio_pci_device_init(), with an iommufd: bound, attached, and asked for all that it has. */
const initialised = (device: string): Call[] => [
  openIommufd(),
  allocIoas("@iommufd"),
  openCdev(device),
  bind("@device", "@iommufd"),
  attach("@device", "@ioas"),
  getInfo("@device"),
  getRegionInfo("@device", CONFIG_REGION),
  ...BARS.map((bar) => getRegionInfo("@device", bar)),
];

function selftest(id: string, title: string, device: string, steps: readonly (Call | Step)[]): Scenario {
  return scenario({ id: `selftest-${id}-${device.replace(/\W/g, "")}`, title, needs: CDEV, steps });
}

/** vfio_iommufd_setup_test.c. */
const setup = (device: string): Scenario[] => [
  selftest("bind", "a device is bound and answers", device, [
    ...cdev(device),
    bind("@device", "@iommufd"),
    getInfo("@device"),
    close("@device"),
    close("@iommufd"),
  ]),
  selftest("get-info-without-bind", "a device that is not bound does not answer", device, [
    ...cdev(device),
    refused("EINVAL", getInfo("@device")),
  ]),
  selftest("bind-bad-iommufd", "a device is bound to nothing but an iommufd", device, [
    ...cdev(device),
    refused("EINVAL", bind("@device", -2)),
    refused("EBADF", bind("@device", 900)),
    refused("EBADFD", bind("@device", "@device")),
  ]),
  selftest("repeated-bind", "a device is bound once", device, [
    ...cdev(device),
    bind("@device", "@iommufd"),
    refused("EINVAL", bind("@device", "@iommufd", "@devid1")),
  ]),
  selftest("attach-detach", "a device is attached to an IOAS and detached", device, [
    ...cdev(device),
    bind("@device", "@iommufd"),
    allocIoas("@iommufd"),
    attach("@device", "@ioas"),
    detach("@device"),
  ]),
  selftest("attach-invalid", "a device is attached to nothing that is not there", device, [
    ...cdev(device),
    bind("@device", "@iommufd"),
    refused("ENOENT", attach("@device", U32_MAX)),
  ]),
];

/** vfio_dma_mapping_test.c with an iommufd, without what it reads of page tables in debugfs. */
const mapping: readonly Scenario[] = [
  selftest("map-unmap", "what was mapped is unmapped, once", "edu0", [
    ...initialised("edu0"),
    map("@iommufd", "@ioas", 0x10_0000, PAGE),
    refused("EEXIST", map("@iommufd", "@ioas", 0x10_0000, PAGE)),
    unmap("@iommufd", "@ioas", 0x10_0000, PAGE),
    refused("ENOENT", unmap("@iommufd", "@ioas", 0x10_0000, PAGE)),
  ]),
  selftest("map-limit-range", "the last page that the IOMMU translates can be mapped", "edu0", [
    ...initialised("edu0"),
    mapAt(LAST_PAGE, PAGE),
    unmapAt(LAST_PAGE, PAGE),
    refused("ENOENT", unmapAt(LAST_PAGE, PAGE)),
  ]),
  selftest("map-limit-all", "everything is unmapped at once", "edu0", [
    ...initialised("edu0"),
    mapAt(LAST_PAGE, PAGE),
    unmapAt(0, U64_MAX),
    refused("ENOENT", unmapAt(LAST_PAGE, PAGE)),
  ]),
  selftest("map-limit-overflow", "a range that runs over the end of all addresses is refused", "edu0", [
    ...initialised("edu0"),
    refused("EOVERFLOW", mapAt(TOP_PAGE, 2 * PAGE)),
    refused("EOVERFLOW", unmapAt(TOP_PAGE, 2 * PAGE)),
  ]),
];

/** VFIO_TYPE1_IOMMU and VFIO_TYPE1v2_IOMMU: the modes vfio_type1_iommu and vfio_type1v2_iommu. */
const MODES = [
  ["type1", 1],
  ["type1v2", 3],
] as const;

const container = (type: number): Call[] => [
  openContainer(),
  openGroup("edu0"),
  setContainer("@group", "@container"),
  setIommu("@container", type),
  getDeviceFd("@group", "edu0"),
  getInfo("@device"),
];
const unmapAll = ioctl("@container", "VFIO_IOMMU_UNMAP_DMA", { argsz: DmaUnmap.size, flags: UNMAP.ALL });

/** vfio_dma_mapping_test.c with a container. An unmapping of nothing succeeds there, and brings 0 bytes. */
const containers: readonly Scenario[] = MODES.flatMap(([mode, type]) => [
  scenario({
    id: `selftest-map-unmap-${mode}`,
    title: "what was mapped is unmapped, once",
    needs: LEGACY,
    steps: [
      ...container(type),
      mapDma("@container", 0x10_0000, PAGE),
      refused("EEXIST", mapDma("@container", 0x10_0000, PAGE)),
      unmapDma("@container", 0x10_0000, PAGE),
      unmapDma("@container", 0x10_0000, PAGE),
    ],
  }),
  scenario({
    id: `selftest-map-limit-${mode}`,
    title: "the last page that the IOMMU translates can be mapped, and unmapped by its range or with all others",
    needs: LEGACY,
    steps: [
      ...container(type),
      mapDma("@container", LAST_PAGE, PAGE),
      unmapDma("@container", LAST_PAGE, PAGE),
      mapDma("@container", LAST_PAGE, PAGE),
      unmapAll,
      mapDma("@container", LAST_PAGE, PAGE),
    ],
  }),
  scenario({
    id: `selftest-map-limit-overflow-${mode}`,
    title: "a range that runs over the end of all addresses is refused",
    needs: { ...LEGACY, since: "6.18" },
    steps: [
      ...container(type),
      refused("EOVERFLOW", mapDma("@container", TOP_PAGE, 2 * PAGE)),
      refused("EOVERFLOW", unmapDma("@container", TOP_PAGE, 2 * PAGE)),
    ],
  }),
]);

const EVENTFD_TRIGGER = 0x24;
const NONE_TRIGGER = 0x21;
const irqs = (flags: number, index: number, count: number, data: readonly Value[] = []): Call =>
  ioctl("@device", "VFIO_DEVICE_SET_IRQS", { argsz: 20 + 4 * data.length, flags, index, count, data });
/** Where mtty has its configuration space. */
const MTTY_CONFIG = CONFIG_REGION * REGION_SIZE;

/** vfio_pci_device_test.c: enable_trigger_disable and the reads of config_space_read_write, on a card of mtty. */
const emulated: readonly Scenario[] = [
  selftest("irq", "an interrupt is enabled, triggered and disabled", "mtty0", [
    ...cdev("mtty0"),
    bind("@device", "@iommufd"),
    getInfo("@device"),
    getIrqInfo("@device", MSI),
    openEventfd(),
    irqs(EVENTFD_TRIGGER, MSI, 1, ["@eventfd"]),
    irqs(NONE_TRIGGER, MSI, 1),
    gives(8, read("@eventfd", { count: 8 })),
    irqs(NONE_TRIGGER, MSI, 0),
  ]),
  selftest("config-space", "vendor, device and command are read", "mtty0", [
    ...cdev("mtty0"),
    refused("EINVAL", read("@device", { count: 2, offset: MTTY_CONFIG })),
    bind("@device", "@iommufd"),
    gives(2, read("@device", { count: 2, offset: MTTY_CONFIG })),
    gives(2, read("@device", { count: 2, offset: MTTY_CONFIG + 2 })),
    gives(2, read("@device", { count: 2, offset: MTTY_CONFIG + 4 })),
  ]),
];

/** vfio_pci_device_test.c: reset. */
const reset: readonly Scenario[] = [
  selftest("reset", "a device that says it can be reset is", "nic0.0", [
    ...initialised("nic0.0"),
    ioctlValue("@device", "VFIO_DEVICE_RESET"),
  ]),
];

/** vfio_pci_device_init_perf_test.c, one device after the other. */
const many: readonly Scenario[] = [
  scenario({
    id: "selftest-init-many",
    title: "several devices are bound to one iommufd and attached to one IOAS",
    needs: CDEV,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      ...["nic0.0", "nic0.1", "edu0", "mtty0"].flatMap((device, nth) => [
        openCdev(device, `@device${nth}`),
        bind(`@device${nth}`, "@iommufd", `@devid${nth}`),
        attach(`@device${nth}`, "@ioas", `@hwpt${nth}`),
      ]),
    ],
  }),
];

export const SELFTESTS: readonly Scenario[] = [
  ...setup("edu0"),
  ...setup("mtty0"),
  ...mapping,
  ...containers,
  ...emulated,
  ...reset,
  ...many,
];
