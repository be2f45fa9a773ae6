/** Legacy programs on an iommufd: VFIO's own commands where /dev/iommu, or an iommufd as /dev/vfio/vfio, is the container. */
import { MEMORY, PAGE } from "../model/kernel/memory-map.ts";
import type { KconfigOption } from "../model/profile.ts";
import type { Call, Fields, Place, Value } from "../model/program.ts";
import { DIRTY, DirtyPages, DmaMap, DmaUnmap, Info, MAP, UNMAP } from "../model/vfio/type1-layouts.ts";
import {
  allocIoas,
  checkExtension,
  clearCompatIoas,
  close,
  destroy,
  getCompatIoas,
  getDeviceFd,
  getInfo,
  ioctl,
  ioctlValue,
  locked,
  map,
  openGroup,
  pinned,
  setCompatIoas,
  setContainer,
  setIommu,
  unmap,
  unsetContainer,
} from "./calls.ts";
import { gives, refused, type Scenario, type Step, scenario } from "./scenario.ts";
import { mapDma, unmapDma } from "./type1.ts";

const V1 = 1;
const V2 = 3;
const DMA_CC = 4;
const UNMAP_ALL = 9;
const UPDATE_VADDR = 10;
const READ_WRITE = MAP.READ | MAP.WRITE;
const C = "@container";

/** The two nodes whose file is an iommufd that legacy programs take for a container. */
const WAYS = [
  { node: "iommufd", behind: "", kconfig: ["IOMMUFD", "VFIO_GROUP"] },
  { node: "container", behind: "-container", kconfig: ["IOMMUFD_VFIO_CONTAINER"] },
] as const satisfies readonly { node: string; behind: string; kconfig: readonly KconfigOption[] }[];

/** A scenario for each of the two. */
function onBoth(id: string, title: string, steps: readonly (Call | Step)[]): Scenario[] {
  return WAYS.map(({ node, behind, kconfig }) =>
    scenario({
      id: `${id}${behind}`,
      title: behind === "" ? title : `${title}, through /dev/vfio/vfio`,
      needs: { since: "6.2", kconfig },
      steps: [{ op: "open", node: { kind: node }, as: C }, ...steps],
    }),
  );
}

/** The group of a device with the iommufd in the place of a container, and a type chosen. */
const joined = (device: string, type = V2): readonly Call[] => [
  openGroup(device),
  setContainer("@group", C),
  setIommu(C, type),
];

const mapWith = (fields: Fields, place?: Place): Call =>
  ioctl(
    C,
    "VFIO_IOMMU_MAP_DMA",
    { argsz: DmaMap.size, flags: READ_WRITE, vaddr: MEMORY.user, size: PAGE, ...fields },
    place === undefined ? {} : { place },
  );

const unmapWith = (fields: Fields, place?: Place): Call =>
  ioctl(C, "VFIO_IOMMU_UNMAP_DMA", { argsz: DmaUnmap.size, ...fields }, place === undefined ? {} : { place });

/** GET_INFO with room for so many bytes. */
export const compatInfo = (argsz: number, container: Value = C, place?: Place): Call =>
  ioctl(
    container,
    "VFIO_IOMMU_GET_INFO",
    { argsz, capabilities: Array.from({ length: Math.max(0, Math.ceil((argsz - Info.size) / 8)) }, () => 0) },
    place === undefined ? {} : { place },
  );

const dirtyPages = (flags: number): Call => ioctl(C, "VFIO_IOMMU_DIRTY_PAGES", { argsz: DirtyPages.size, flags });

export const COMPAT: readonly Scenario[] = [
  ...onBoth("compat-vmm", "a monitor that knows containers only hands a function to its VM with an iommufd", [
    gives(0, ioctlValue(C, "VFIO_GET_API_VERSION")),
    gives(1, checkExtension(C, V2)),
    gives(1, checkExtension(C, V1)),
    gives(1, checkExtension(C, UNMAP_ALL)),
    gives(0, checkExtension(C, UPDATE_VADDR)),
    refused("ENODEV", checkExtension(C, DMA_CC)),
    refused("ENODEV", setIommu(C)),
    refused("ENODEV", compatInfo(Info.size)),
    openGroup("edu0"),
    setContainer("@group", C),
    setIommu(C),
    setIommu(C),
    compatInfo(Info.size),
    compatInfo(Info.size + 16 + 16 + 32),
    mapDma(C, 0, 0xa_0000),
    mapDma(C, 0x10_0000, 0x40_0000),
    getDeviceFd("@group", "edu0"),
    getInfo("@device"),
    compatInfo(Info.size + 16 + 16 + 32),
    gives(0xa0 * 4 + 0x400 * 4, pinned),
    refused("EEXIST", mapDma(C, 0x10_0000, 0x1000)),
    refused("EINVAL", mapDma(C, 0xfee0_0000, 0x1000)),
    mapDma(C, 0x200_0000, PAGE),
    unmapDma(C, 0, 0xa_0000),
    // A container would not let the group go while its device is open.
    unsetContainer("@group"),
    gives(0x400 * 4 + 4, pinned),
    close("@device"),
    gives(0, pinned),
    close("@group"),
    close(C),
  ]),
  ...onBoth("compat-cut", "with VFIO_TYPE1_IOMMU a part of a mapping can be unmapped, and the rest stays pinned", [
    ...joined("edu0", V1),
    getDeviceFd("@group", "edu0"),
    mapDma(C, 0, 8 * PAGE),
    gives(32, pinned),
    unmapDma(C, 2 * PAGE, PAGE),
    gives(28, pinned),
    mapDma(C, 2 * PAGE, PAGE),
    refused("EINVAL", unmapDma(C, PAGE, 100)),
    refused("ENOENT", unmapDma(C, 1, PAGE - 1)),
    gives(32, pinned),
    unmapDma(C, 6 * PAGE, 100 * PAGE),
    gives(24, pinned),
    // What was cut is none of iommufd's concern: its own command unmaps the pieces together.
    getCompatIoas(C),
    unmap(C, "@compat", 0, 6 * PAGE),
    gives(0, pinned),
  ]),
  ...onBoth("compat-unmap", "an unmapping takes whole mappings, one or none or all of them, and knows one flag", [
    refused("ENODEV", unmapDma(C, 0, PAGE)),
    refused("EINVAL", unmapWith({ argsz: 23, size: PAGE })),
    ...joined("mtty0"),
    unmapDma(C, 0, PAGE),
    mapDma(C, 0, 2 * PAGE),
    refused("ENOENT", unmapDma(C, 0, PAGE)),
    refused("ENOENT", unmapDma(C, PAGE, 16 * PAGE)),
    refused("EINVAL", unmapDma(C, 0, 0)),
    refused("EOVERFLOW", unmapDma(C, 0xffff_ffff_ffff_f000n, 2 * PAGE)),
    refused("EINVAL", unmapWith({ size: 2 * PAGE, flags: UNMAP.GET_DIRTY_BITMAP })),
    refused("EINVAL", unmapWith({ size: 2 * PAGE, flags: UNMAP.VADDR })),
    refused("EINVAL", unmapWith({ size: 2 * PAGE, flags: UNMAP.ALL })),
    refused("EFAULT", unmapWith({ size: 2 * PAGE }, "null")),
    unmapDma(C, 0, 4 * PAGE),
    mapDma(C, 0, PAGE),
    mapDma(C, 0x1_0000, PAGE),
    unmapWith({ flags: UNMAP.ALL }),
    unmapWith({ flags: UNMAP.ALL }),
    refused("ENOTTY", dirtyPages(DIRTY.START)),
  ]),
  ...onBoth("compat-map", "a mapping is checked as iommufd's own, and neither replaced nor counted", [
    refused("ENODEV", mapDma(C, 0, PAGE)),
    refused("EINVAL", mapWith({ flags: MAP.VADDR })),
    refused("EINVAL", mapWith({ argsz: 31 })),
    ...joined("mtty0"),
    refused("EFAULT", mapWith({}, "unmapped")),
    refused("EINVAL", mapWith({ size: 0 })),
    refused("EOVERFLOW", mapWith({ vaddr: 0xffff_ffff_ffff_f000n, size: 2 * PAGE })),
    refused("EOVERFLOW", mapWith({ iova: 0xffff_ffff_ffff_f000n, size: 2 * PAGE })),
    // Without a device that is attached nothing need be aligned.
    mapWith({ iova: 1, vaddr: MEMORY.user + 1n, size: 100 }),
    refused("EADDRINUSE", getDeviceFd("@group", "mtty0")),
    refused("EADDRINUSE", setIommu(C, V1)),
    unmapDma(C, 1, 100),
    getDeviceFd("@group", "mtty0"),
    refused("EINVAL", mapWith({ iova: 1 })),
    refused("EINVAL", mapWith({ vaddr: MEMORY.user + 1n })),
    refused("EINVAL", mapWith({ size: 100 })),
    ...Array.from({ length: 12 }, (_, n) => mapDma(C, 2 * n * PAGE, PAGE)),
    refused("EEXIST", mapDma(C, 0, PAGE)),
  ]),
  ...onBoth("compat-selection", "VFIO's commands act on the IOAS that is selected, and on none without", [
    allocIoas(C),
    setCompatIoas(C, "@ioas"),
    mapDma(C, 0, PAGE),
    refused("EEXIST", map(C, "@ioas", 0, PAGE)),
    map(C, "@ioas", 0x1_0000, PAGE),
    unmapDma(C, 0x1_0000, PAGE),
    allocIoas(C, "@ioas1"),
    setCompatIoas(C, "@ioas1"),
    mapDma(C, 0, PAGE),
    clearCompatIoas(C),
    refused("ENODEV", unmapDma(C, 0, PAGE)),
    unmap(C, "@ioas", 0, PAGE),
    setCompatIoas(C, "@ioas1"),
    destroy(C, "@ioas1"),
    refused("ENODEV", mapDma(C, 0, PAGE)),
    refused("ENODEV", compatInfo(Info.size)),
  ]),
  ...onBoth("compat-info", "information comes as far as there is room, and says how much there should be", [
    refused("EINVAL", compatInfo(15)),
    ...joined("mtty0"),
    ...[16, 20, 24, 35, 36, 39, 40, 55, 56, 71, 72, 80].map((argsz) => compatInfo(argsz)),
    refused("EFAULT", compatInfo(72, C, "readonly")),
    refused("EFAULT", compatInfo(72, C, 30)),
    refused("EFAULT", compatInfo(72, C, 12)),
    openGroup("edu0", "@group1"),
    setContainer("@group1", C),
    getDeviceFd("@group1", "edu0"),
    ...[71, 72, 87, 88].map((argsz) => compatInfo(argsz)),
  ]),
  ...WAYS.map(({ node, behind, kconfig }) =>
    scenario({
      id: `compat-locked${behind}`,
      title: `what is mapped through ${node === "iommufd" ? "/dev/iommu counts for the user" : "an iommufd as /dev/vfio/vfio counts for the process"}`,
      needs: { since: "6.2", kconfig },
      steps: [
        { op: "open", node: { kind: node }, as: C },
        ...joined("edu0"),
        { op: "capset", without: ["CAP_IPC_LOCK"] },
        { op: "prlimit", resource: "RLIMIT_MEMLOCK", soft: 4 * PAGE, hard: 4 * PAGE },
        mapDma(C, 0, 4 * PAGE),
        gives(0, locked),
        getDeviceFd("@group", "edu0"),
        gives(node === "iommufd" ? 0 : 16, locked),
        gives(16, pinned),
        refused("ENOMEM", mapDma(C, 0x1_0000, PAGE)),
        close("@device"),
        gives(0, locked),
      ],
    }),
  ),
  scenario({
    id: "compat-map-no-access",
    breaks: "compat-map-no-access",
    title: "a mapping that no device may read or write is none, and keeps no device away",
    needs: { since: "6.2", kconfig: ["IOMMUFD", "VFIO_GROUP"] },
    steps: [
      { op: "open", node: { kind: "iommufd" }, as: C },
      ...joined("edu0"),
      refused("EINVAL", mapWith({ flags: 0 })),
      getDeviceFd("@group", "edu0"),
      mapDma(C, 0, PAGE),
    ],
  }),
  scenario({
    id: "compat-unmap-cuts",
    breaks: "compat-unmap-cuts",
    title: "an unmapping of nothing cuts no mapping",
    needs: { since: "6.2", kconfig: ["IOMMUFD", "VFIO_GROUP"] },
    steps: [
      { op: "open", node: { kind: "iommufd" }, as: C },
      ...joined("mtty0", V1),
      mapDma(C, 0, 2 * PAGE),
      refused("EINVAL", unmapDma(C, PAGE, 0)),
      getCompatIoas(C),
      refused("ENOENT", unmap(C, "@compat", 0, PAGE)),
    ],
  }),
];
