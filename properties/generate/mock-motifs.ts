/** Openings with the mocks of the kernel's selftests. */
import { MOCK_START } from "../../model/iommufd/selftest/mock-device.ts";
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import type { Call, FieldValue, Value } from "../../model/program.ts";
import { oneIn, pick } from "./dice.ts";
import { MOTIFS, type Motif } from "./motifs.ts";

type Fields = Readonly<Record<string, FieldValue>>;

/** The smallest page of a mock: half a page of the CPU's. */
const IO_PAGE = PAGE / 2;

function struct(fd: string, request: string, fields: Fields, binds?: Readonly<Record<string, string>>): Call {
  const call = { op: "ioctl", fd, request, arg: { kind: "struct", struct: { fields } } } as const;
  return binds ? { ...call, binds } : call;
}

const READ_WRITE = 6;
const FIXED = 1;

/** One IOAS with something mapped, and one or two mocks that are attached to it, or to each other's page table. */
const mocked: Motif = (on, make) => {
  const { dice, handles } = on;
  if (!on.machine.k.has("IOMMUFD_TEST")) return pick(dice, MOTIFS)(on, make);
  const iommufd = handles.fresh("iommufd");
  make({ op: "open", node: { kind: "iommufd" }, as: iommufd });
  const ioas = handles.fresh("ioas");
  make(struct(iommufd, "IOMMU_IOAS_ALLOC", { size: 12 }, { out_ioas_id: ioas }));
  const map = (): void => {
    const user_va = MEMORY.user + BigInt(dice.roll(32) * IO_PAGE);
    const length = (1 + dice.roll(8)) * IO_PAGE;
    const place = oneIn(dice, 3) ? {} : { iova: MOCK_START + dice.roll(16) * IO_PAGE };
    const flags = READ_WRITE | ("iova" in place ? FIXED : 0);
    const iova = handles.fresh("iova");
    make(struct(iommufd, "IOMMU_IOAS_MAP", { size: 40, flags, ioas_id: ioas, user_va, length, ...place }, { iova }));
  };
  if (oneIn(dice, 2)) map();
  let pt: Value = ioas;
  for (let left = 1 + dice.roll(2); left > 0; left--) {
    const hwpt = handles.fresh("hwpt");
    const binds = { out_stdev_id: handles.fresh("stdev"), out_hwpt_id: hwpt, out_idev_id: handles.fresh("devid") };
    make(struct(iommufd, "IOMMU_TEST_OP_MOCK_DOMAIN", { size: 72, op: 2, id: pt }, binds));
    if (oneIn(dice, 3)) pt = hwpt;
  }
  map();
  if (oneIn(dice, 2)) return;
  const flags = dice.roll(2);
  const access = { out_access_fd: handles.fresh("access") };
  make(struct(iommufd, "IOMMU_TEST_OP_CREATE_ACCESS", { size: 72, op: 5, id: ioas, flags }, access));
};

/** One access or several, something mapped, and sometimes a page table besides. */
const accessed: Motif = (on, make) => {
  const { dice, handles } = on;
  if (!on.machine.k.has("IOMMUFD_TEST")) return pick(dice, MOTIFS)(on, make);
  const iommufd = handles.fresh("iommufd");
  make({ op: "open", node: { kind: "iommufd" }, as: iommufd });
  const ioas = handles.fresh("ioas");
  make(struct(iommufd, "IOMMU_IOAS_ALLOC", { size: 12 }, { out_ioas_id: ioas }));
  for (let left = 1 + dice.roll(3); left > 0; left--) {
    const access = { out_access_fd: handles.fresh("access") };
    const flags = oneIn(dice, 3) ? 0 : 1;
    make(struct(iommufd, "IOMMU_TEST_OP_CREATE_ACCESS", { size: 72, op: 5, id: ioas, flags }, access));
  }
  const mock = oneIn(dice, 3);
  let at = (mock ? MOCK_START : 0) + dice.roll(4) * PAGE;
  for (let left = 1 + dice.roll(3); left > 0; left--) {
    const length = (1 + dice.roll(4)) * PAGE;
    const user_va = MEMORY.user + BigInt(dice.roll(32) * PAGE);
    const iova = { iova: handles.fresh("iova") };
    const flags = READ_WRITE | FIXED;
    make(struct(iommufd, "IOMMU_IOAS_MAP", { size: 40, flags, ioas_id: ioas, user_va, length, iova: at }, iova));
    // Mostly the next begins where this one ends.
    at += length + (oneIn(dice, 4) ? PAGE : 0);
  }
  if (!mock) return;
  const stdev = { out_stdev_id: handles.fresh("stdev"), out_hwpt_id: handles.fresh("hwpt") };
  make(struct(iommufd, "IOMMU_TEST_OP_MOCK_DOMAIN", { size: 72, op: 2, id: ioas }, stdev));
};

/** For programs about mocks, and about accesses; some begin as those of any user. */
export const MOCK_MOTIFS: readonly Motif[] = [...Array.from({ length: 20 }, () => mocked), ...MOTIFS];
export const ACCESS_MOTIFS: readonly Motif[] = [
  ...Array.from({ length: 20 }, () => accessed),
  ...Array.from({ length: 10 }, () => mocked),
  ...MOTIFS,
];
