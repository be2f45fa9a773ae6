/** Openings with a device that goes from one process to another, as in a live update of a VMM. */
import { ioctl } from "../../model/ioctl-calls.ts";
import { MOCK_START } from "../../model/iommufd/selftest/mock-device.ts";
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import type { Call } from "../../model/program.ts";
import { DmaMap, DmaUnmap, MAP, UNMAP } from "../../model/vfio/type1-layouts.ts";
import { oneIn, pick } from "./dice.ts";
import { allocIoas, type Make, mapFile, mock, open, setContainer, setIommu } from "./motif-calls.ts";
import { MOTIFS, type Motif } from "./motifs.ts";
import type { Situation } from "./moves.ts";

const RLIMIT_MODE = 0;
const TYPE1_V2 = 3;

function fork({ handles }: Situation, make: Make): string {
  const as = handles.fresh("process");
  make({ op: "fork", as });
  return as;
}

/** Asks what counts for both. */
function count(make: Make, by: string): void {
  for (const kind of ["pinned", "locked"] as const) {
    const asked: Call = { op: "probe", probe: { kind } };
    make(asked);
    make({ ...asked, by });
  }
}

/** A file that is mapped for a mock; another process takes it over, and one of them unmaps it. */
export const takenOver: Motif = (on, make) => {
  const { dice, handles, machine } = on;
  if (!machine.k.since("6.14")) return pick(dice, MOTIFS)(on, make);
  if (!oneIn(dice, 3)) make({ op: "capset", without: ["CAP_IPC_LOCK"] });
  const iommufd = open(on, make, { kind: "iommufd" });
  if (oneIn(dice, 2)) make(ioctl(iommufd, "IOMMU_OPTION", { size: 24, option_id: RLIMIT_MODE, op: 0, val64: 1 }));
  const ioas = allocIoas(on, make, iommufd);
  mock(on, make, iommufd, ioas);
  const fd = handles.fresh("memfd");
  const length = (1 + dice.roll(4)) * PAGE;
  make({ op: "memfd", size: length, as: fd });
  mapFile(on, make, iommufd, { ioas_id: ioas, fd, length, iova: MOCK_START });
  const by = fork(on, make);
  make({ ...ioctl(iommufd, "IOMMU_IOAS_CHANGE_PROCESS", { size: 8 }), by });
  count(make, by);
  const unmap = ioctl(iommufd, "IOMMU_IOAS_UNMAP", { size: 24, ioas_id: ioas, iova: MOCK_START, length });
  make(oneIn(dice, 2) ? unmap : { ...unmap, by });
  if (oneIn(dice, 2)) count(make, by);
};

/** Memory that is mapped for a container; another process gives it a new address. */
export const handedOver: Motif = (on, make) => {
  const { dice, focus } = on;
  const container = open(on, make, { kind: "container" });
  setContainer(make, open(on, make, { kind: "group", device: pick(dice, focus.devices) }), container);
  setIommu(make, container, TYPE1_V2);
  const size = (1 + dice.roll(4)) * PAGE;
  const range = { iova: 16 * PAGE, size };
  const flags = MAP.READ | MAP.WRITE;
  const vaddr = MEMORY.user;
  make(ioctl(container, "VFIO_IOMMU_MAP_DMA", { argsz: DmaMap.size, flags, vaddr, ...range }));
  const by = fork(on, make);
  make(ioctl(container, "VFIO_IOMMU_UNMAP_DMA", { argsz: DmaUnmap.size, flags: UNMAP.VADDR, ...range }));
  make({ ...ioctl(container, "VFIO_IOMMU_MAP_DMA", { argsz: DmaMap.size, flags: MAP.VADDR, vaddr, ...range }), by });
  count(make, by);
};
