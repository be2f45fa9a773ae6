/** No-IOMMU mode: a device that nothing isolates, for callers who may do anything to the machine anyway. */
import type { Call } from "../model/program.ts";
import {
  allocIoas,
  close,
  getDeviceFd,
  getInfo,
  hotResetInfo,
  ioctl,
  ioctlValue,
  openContainer,
  openGroup,
  openIommufd,
  setContainer,
  setIommu,
  unbindDriver,
} from "./calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const BY_CONTAINER = { noiommu: true, kconfig: ["VFIO_NOIOMMU", "VFIO_CONTAINER"] } as const;
const BY_IOMMUFD = { noiommu: true, since: "6.3", kconfig: ["VFIO_NOIOMMU", "IOMMUFD"] } as const;

const NOIOMMU_IOMMU = 8;
const dropRawio: Call = { op: "capset", without: ["CAP_SYS_RAWIO"] };
const regain: Call = { op: "capset", without: [] };
const hasExtension = (on: string, type: number): Call => ioctlValue(on, "VFIO_CHECK_EXTENSION", type);

export const NOIOMMU: readonly Scenario[] = [
  scenario({
    id: "noiommu-by-container",
    title: "every step into no-IOMMU mode asks for CAP_SYS_RAWIO, and its container takes nothing else",
    needs: BY_CONTAINER,
    steps: [
      dropRawio,
      refused("EPERM", openGroup("edu0")),
      regain,
      openGroup("edu0"),
      openContainer(),
      dropRawio,
      refused("EPERM", setContainer("@group", "@container")),
      regain,
      setContainer("@group", "@container"),
      gives(0, hasExtension("@container", 1)),
      gives(1, hasExtension("@container", NOIOMMU_IOMMU)),
      refused("ENODEV", setIommu("@container", 1)),
      dropRawio,
      refused("EPERM", setIommu("@container", NOIOMMU_IOMMU)),
      regain,
      setIommu("@container", NOIOMMU_IOMMU),
      openGroup("mtty0", "@emulated"),
      refused("EPERM", setContainer("@emulated", "@container")),
      dropRawio,
      refused("EPERM", getDeviceFd("@group", "edu0")),
      regain,
      getDeviceFd("@group", "edu0"),
      getInfo("@device"),
    ],
  }),
  scenario({
    id: "noiommu-by-iommufd",
    title: "an iommufd that a device without IOMMU has joined is for such devices alone",
    needs: BY_IOMMUFD,
    steps: [
      openIommufd(),
      openGroup("edu0"),
      setContainer("@group", "@iommufd"),
      gives(0, hasExtension("@iommufd", 1)),
      dropRawio,
      refused("EPERM", setIommu("@iommufd", NOIOMMU_IOMMU)),
      refused("EINVAL", setIommu("@iommufd", 1)),
      refused("EPERM", getDeviceFd("@group", "edu0")),
      regain,
      setIommu("@iommufd", NOIOMMU_IOMMU),
      setIommu("@iommufd", NOIOMMU_IOMMU),
      getDeviceFd("@group", "edu0"),
      openGroup("mtty0", "@emulated"),
      refused("EINVAL", setContainer("@emulated", "@iommufd")),
      openIommufd("@other"),
      setContainer("@emulated", "@other"),
      openGroup("rooted0", "@second"),
      refused("EINVAL", setContainer("@second", "@other")),
    ],
  }),
  scenario({
    id: "noiommu-translates-nothing",
    title: "a device without IOMMU is not opened through an iommufd that was given an IOAS for VFIO's commands",
    needs: BY_IOMMUFD,
    steps: [
      openIommufd(),
      openGroup("edu0"),
      setContainer("@group", "@iommufd"),
      allocIoas("@iommufd"),
      ioctl("@iommufd", "IOMMU_VFIO_IOAS", { size: 12, ioas_id: "@ioas", op: 1 }),
      refused("EPERM", getDeviceFd("@group", "edu0")),
    ],
  }),
  scenario({
    id: "noiommu-neighbour-unbound",
    title: "a hot reset that would hit a function that nobody isolates is told of to nobody",
    needs: BY_CONTAINER,
    steps: [
      unbindDriver("vfio-pci", "bridged1"),
      openContainer(),
      openGroup("bridged0"),
      setContainer("@group", "@container"),
      setIommu("@container", NOIOMMU_IOMMU),
      getDeviceFd("@group", "bridged0"),
      refused("EPERM", hotResetInfo("@device", 8)),
      close("@device"),
    ],
  }),
];
