/** Openings with the mocks of the kernel's selftests. */
import { ioctl } from "../../model/ioctl-calls.ts";
import { MOCK_START } from "../../model/iommufd/selftest/mock-device.ts";
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import type { Value } from "../../model/program.ts";
import { oneIn, pick, times } from "./dice.ts";
import { IO_PAGE, mapBuffer, mapFile, openIoas, takeBack } from "./motif-calls.ts";
import { MOTIFS, type Motif } from "./motifs.ts";
import { takenOver } from "./process-motifs.ts";

const READ_WRITE = 6;
const FIXED = 1;

/** One IOAS with something mapped, and one or two mocks that are attached to it, or to each other's page table. */
const mocked: Motif = (on, make) => {
  const { dice, handles } = on;
  if (!on.machine.k.has("IOMMUFD_TEST")) return pick(dice, MOTIFS)(on, make);
  const { iommufd, ioas } = openIoas(on, make);
  const map = (): void => {
    const user_va = MEMORY.user + BigInt(dice.roll(32) * IO_PAGE);
    const length = (1 + dice.roll(8)) * IO_PAGE;
    const place = oneIn(dice, 3) ? {} : { iova: MOCK_START + dice.roll(16) * IO_PAGE };
    const flags = READ_WRITE | ("iova" in place ? FIXED : 0);
    const binds = { iova: handles.fresh("iova") };
    make(ioctl(iommufd, "IOMMU_IOAS_MAP", { size: 40, flags, ioas_id: ioas, user_va, length, ...place }, { binds }));
  };
  if (oneIn(dice, 2)) map();
  if (oneIn(dice, 8) && on.machine.k.since("6.19")) {
    const { fd, iova, length } = mapBuffer(on, make, iommufd, ioas);
    if (oneIn(dice, 2)) {
      takeBack(make, iommufd, fd);
      mapFile(on, make, iommufd, { ioas_id: ioas, fd, length, iova: iova + 8 * PAGE });
    }
  }
  let pt: Value = ioas;
  for (let left = 1 + dice.roll(2); left > 0; left--) {
    const hwpt = handles.fresh("hwpt");
    const binds = { out_stdev_id: handles.fresh("stdev"), out_hwpt_id: hwpt, out_idev_id: handles.fresh("devid") };
    make(ioctl(iommufd, "IOMMU_TEST_OP_MOCK_DOMAIN", { size: 72, op: 2, id: pt }, { binds }));
    if (oneIn(dice, 3)) pt = hwpt;
  }
  map();
  if (oneIn(dice, 2)) return;
  const flags = dice.roll(2);
  const binds = { out_access_fd: handles.fresh("access") };
  make(ioctl(iommufd, "IOMMU_TEST_OP_CREATE_ACCESS", { size: 72, op: 5, id: ioas, flags }, { binds }));
};

/** One access or several, something mapped, and sometimes a page table besides. */
const accessed: Motif = (on, make) => {
  const { dice, handles } = on;
  if (!on.machine.k.has("IOMMUFD_TEST")) return pick(dice, MOTIFS)(on, make);
  const { iommufd, ioas } = openIoas(on, make);
  let access = "";
  for (let left = 1 + dice.roll(3); left > 0; left--) {
    access = handles.fresh("access");
    const binds = { out_access_fd: access };
    const flags = oneIn(dice, 3) ? 0 : 1;
    make(ioctl(iommufd, "IOMMU_TEST_OP_CREATE_ACCESS", { size: 72, op: 5, id: ioas, flags }, { binds }));
  }
  const mock = oneIn(dice, 3);
  const first = (mock ? MOCK_START : 0) + dice.roll(4) * PAGE;
  let at = first;
  for (let left = 1 + dice.roll(3); left > 0; left--) {
    const length = (1 + dice.roll(4)) * PAGE;
    if (oneIn(dice, 4) && on.machine.k.since("6.13")) {
      const fd = handles.fresh("memfd");
      make({ op: "memfd", size: length, as: fd });
      mapFile(on, make, iommufd, { ioas_id: ioas, fd, length, iova: at });
    } else {
      const user_va = MEMORY.user + BigInt(dice.roll(32) * PAGE);
      const binds = { iova: handles.fresh("iova") };
      const flags = READ_WRITE | FIXED;
      make(ioctl(iommufd, "IOMMU_IOAS_MAP", { size: 40, flags, ioas_id: ioas, user_va, length, iova: at }, { binds }));
    }
    // Mostly the next begins where this one ends.
    at += length + (oneIn(dice, 4) ? PAGE : 0);
  }
  if (oneIn(dice, 4) && on.machine.k.since("6.19")) mapBuffer(on, make, iommufd, ioas);
  if (!mock) return;
  const stdev = handles.fresh("stdev");
  const binds = { out_stdev_id: stdev, out_hwpt_id: handles.fresh("hwpt") };
  make(ioctl(iommufd, "IOMMU_TEST_OP_MOCK_DOMAIN", { size: 72, op: 2, id: ioas }, { binds }));
  if (!oneIn(dice, 4)) return;
  // Pages that a page table and an access need, until the page table goes.
  const pinned = { out_access_pages_id: handles.fresh("pin") };
  const page = { size: 72, op: 7, id: access, iova: first, length: PAGE };
  make(ioctl(iommufd, "IOMMU_TEST_OP_ACCESS_PAGES", page, { binds: pinned }));
  make(ioctl(iommufd, "IOMMU_DESTROY", { size: 8, id: stdev }));
};

/** For programs about mocks, and about accesses; some begin as those of any user. */
export const MOCK_MOTIFS: readonly Motif[] = [...times(20, mocked), takenOver, takenOver, ...MOTIFS];
export const ACCESS_MOTIFS: readonly Motif[] = [...times(20, accessed), ...times(10, mocked), ...MOTIFS];
