/** Openings with page tables that user space asks for: of functions, and of the mocks of the kernel's selftests. */
import { ioctl } from "../../model/ioctl-calls.ts";
import { MOCK_START } from "../../model/iommufd/selftest/mock-device.ts";
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import type { Value } from "../../model/program.ts";
import { U64_MAX } from "../../model/uapi/u64.ts";
import { tellingAtLength } from "./bitmap-motifs.ts";
import { type Dice, oneIn, pick, times } from "./dice.ts";
import {
  allocHwpt,
  attach,
  DIRTY_TRACKING,
  IO_PAGE,
  type Make,
  mapBuffer,
  mock,
  openBound,
  openIoas,
  takeBack,
} from "./motif-calls.ts";
import { MOTIFS, type Motif } from "./motifs.ts";
import type { Situation } from "./moves.ts";
import { FUNCTION_MOTIFS } from "./pair-motifs.ts";

const FIXED_READ_WRITE = 7;
const [NEST_PARENT, FAULT_ID_VALID, ALLOC_PASID] = [1, 4, 8];
/** MOCK_FLAGS_DEVICE_* */
const [NO_DIRTY, HAS_PASIDS] = [1, 4];

function allocFaultQueue({ handles }: Situation, make: Make, iommufd: string): string {
  const fault = handles.fresh("fault");
  const binds = { out_fault_id: fault, out_fault_fd: handles.fresh("fault-queue") };
  make(ioctl(iommufd, "IOMMU_FAULT_QUEUE_ALLOC", { size: 16 }, { binds }));
  return fault;
}

/** Maps so many small pages where mocks reach. */
function map(dice: Dice, make: Make, iommufd: string, ioas: string): void {
  const iova = MOCK_START + dice.roll(4) * 4 * PAGE;
  const user_va = MEMORY.user + BigInt(dice.roll(32) * PAGE);
  const length = (1 + dice.roll(8)) * IO_PAGE;
  make(ioctl(iommufd, "IOMMU_IOAS_MAP", { size: 40, flags: FIXED_READ_WRITE, ioas_id: ioas, user_va, length, iova }));
}

const replace = (make: Make, iommufd: string, stdev: string, pt_id: Value): boolean =>
  make(ioctl(iommufd, "IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE", { size: 72, op: 10, id: stdev, pt_id }));

/** A mock with a page table that tells what it writes, and something mapped to write to. */
const telling: Motif = (on, make) => {
  const { iommufd, ioas } = openIoas(on, make);
  if (oneIn(on.dice, 2)) map(on.dice, make, iommufd, ioas);
  const { stdev, devid } = mock(on, make, iommufd, ioas);
  const table = allocHwpt(on, make, iommufd, devid, ioas, { flags: DIRTY_TRACKING });
  if (oneIn(on.dice, 2)) replace(make, iommufd, stdev, table);
  make(ioctl(iommufd, "IOMMU_HWPT_SET_DIRTY_TRACKING", { size: 16, flags: 1, hwpt_id: table }));
  if (oneIn(on.dice, 8) && on.machine.k.since("6.19")) withBuffer(on, make, iommufd, ioas, table);
  else map(on.dice, make, iommufd, ioas);
};

/** A buffer that is written to and then taken back, mostly, and what is told of that. */
function withBuffer(on: Situation, make: Make, iommufd: string, ioas: string, table: string): void {
  const { fd, iova, length } = mapBuffer(on, make, iommufd, ioas);
  const written = { iova, length, page_size: IO_PAGE, uptr: { fields: { bits_0: 1 + on.dice.roll(3) } } };
  make(ioctl(iommufd, "IOMMU_TEST_OP_DIRTY", { size: 72, op: 13, id: table, ...written }));
  if (oneIn(on.dice, 4)) return;
  takeBack(make, iommufd, fd);
  const asked = { hwpt_id: table, iova, length, page_size: IO_PAGE, data: { fields: {} } };
  make(ioctl(iommufd, "IOMMU_HWPT_GET_DIRTY_BITMAP", { size: 48, ...asked }));
}

/** One or two mocks with a nested page table, mostly with a fault queue. */
const nesting: Motif = (on, make) => {
  const { iommufd, ioas } = openIoas(on, make);
  const { stdev, devid } = mock(on, make, iommufd, ioas);
  const parent = allocHwpt(on, make, iommufd, devid, ioas, { flags: NEST_PARENT });
  const data = { data_type: 0xdead, data_len: 4, data_uptr: { fields: { iotlb: 0x0bad_beef } } };
  const answering = !oneIn(on.dice, 4);
  const queue = answering ? { flags: FAULT_ID_VALID, fault_id: allocFaultQueue(on, make, iommufd) } : {};
  const nested = allocHwpt(on, make, iommufd, devid, parent, { ...data, ...queue });
  replace(make, iommufd, stdev, nested);
  if (oneIn(on.dice, 3)) mock(on, make, iommufd, nested);
  if (!answering) return;
  for (let left = on.dice.roll(3); left > 0; left--) {
    make(ioctl(iommufd, "IOMMU_TEST_OP_TRIGGER_IOPF", { size: 72, op: 15, dev_id: devid, grpid: left, addr: PAGE }));
  }
};

/** A mock that has PASIDs, one or two of them attached, mostly with a page table for PASIDs of its own. */
const withPasids: Motif = (on, make) => {
  const { dice } = on;
  const { iommufd, ioas } = openIoas(on, make);
  const { stdev, devid } = mock(on, make, iommufd, ioas, oneIn(dice, 8) ? HAS_PASIDS | NO_DIRTY : HAS_PASIDS);
  const own = allocHwpt(on, make, iommufd, devid, ioas, { flags: ALLOC_PASID | pick(dice, [0, 0, DIRTY_TRACKING]) });
  const parent = allocHwpt(on, make, iommufd, devid, ioas, { flags: NEST_PARENT | pick(dice, [0, ALLOC_PASID]) });
  const data = { data_type: 0xdead, data_len: 4, data_uptr: { fields: { iotlb: 0x0bad_beef } } };
  const answering = oneIn(dice, 2);
  const queue = answering ? { fault_id: allocFaultQueue(on, make, iommufd) } : {};
  const flags = ALLOC_PASID | (answering ? FAULT_ID_VALID : 0);
  const nested = allocHwpt(on, make, iommufd, devid, parent, { ...data, flags, ...queue });
  if (!oneIn(dice, 8)) replace(make, iommufd, stdev, pick(dice, [own, own, nested]));
  for (let left = 1 + dice.roll(2); left > 0; left--) {
    const fields = { size: 72, op: 18, id: stdev, pasid: left, pt_id: pick(dice, [own, nested]) };
    make(ioctl(iommufd, "IOMMU_TEST_OP_PASID_ATTACH", fields));
  }
  if (!answering) return;
  for (let left = 1 + dice.roll(3); left > 0; left--) {
    const fields = { size: 72, op: 15, dev_id: devid, pasid: left - 1, grpid: left, addr: PAGE };
    make(ioctl(iommufd, "IOMMU_TEST_OP_TRIGGER_IOPF", fields));
  }
};

/** A virtual IOMMU that one or two mocks have joined, with a queue that is soon full. */
const virtual: Motif = (on, make) => {
  const { dice, handles } = on;
  const { iommufd, ioas } = openIoas(on, make);
  const { stdev, devid } = mock(on, make, iommufd, ioas);
  const parent = allocHwpt(on, make, iommufd, devid, ioas, { flags: NEST_PARENT });
  const viommu_id = handles.fresh("viommu");
  const offered = oneIn(dice, 2) ? { data_len: 24, data_uptr: { fields: { in_data: 1 } } } : {};
  const made = { size: 40, type: 0xdead_beef, dev_id: devid, hwpt_id: parent, ...offered };
  make(ioctl(iommufd, "IOMMU_VIOMMU_ALLOC", made, { binds: { out_viommu_id: viommu_id } }));
  const virt_id = 1 + dice.roll(3);
  const join = (dev_id: Value, id: number): string => {
    const out_vdevice_id = handles.fresh("vdevice");
    const fields = { size: 24, viommu_id, dev_id, virt_id: id };
    make(ioctl(iommufd, "IOMMU_VDEVICE_ALLOC", fields, { binds: { out_vdevice_id } }));
    return out_vdevice_id;
  };
  if (!oneIn(dice, 6)) join(devid, virt_id);
  const data = { data_type: 0xdead, data_len: 4, data_uptr: { fields: { iotlb: 0x0bad_beef } } };
  const nested = allocHwpt(on, make, iommufd, devid, viommu_id, data);
  replace(make, iommufd, stdev, nested);
  if (oneIn(dice, 2)) {
    const second = mock(on, make, iommufd, parent);
    const vdevice = join(second.devid, virt_id + dice.roll(2));
    if (oneIn(dice, 2)) {
      make(ioctl(iommufd, "IOMMU_DESTROY", { size: 8, id: second.stdev }));
      make(ioctl(iommufd, "IOMMU_DESTROY", { size: 8, id: vdevice }));
    }
  }
  if (oneIn(dice, 4)) make({ op: "mmap", fd: iommufd, length: 2 * PAGE, prot: 1 + dice.roll(3), offset: PAGE });
  if (oneIn(dice, 4)) return;
  if (oneIn(dice, 2)) {
    const user_va = MEMORY.user;
    const page = { size: 40, flags: FIXED_READ_WRITE, ioas_id: ioas, user_va, length: 2 * PAGE, iova: MOCK_START };
    make(ioctl(iommufd, "IOMMU_IOAS_MAP", page));
    // Whether two pages are in one piece is the kernel's luck, but the same again for the same two.
    const length = oneIn(dice, 4) ? 2 * PAGE : PAGE;
    const queue = (index: number, nesting_parent_iova: number): void => {
      const fields = { size: 40, viommu_id, type: 0xdead_beef, index, nesting_parent_iova, length };
      make(ioctl(iommufd, "IOMMU_HW_QUEUE_ALLOC", fields, { binds: { out_hw_queue_id: handles.fresh("hw-queue") } }));
    };
    queue(0, MOCK_START);
    if (oneIn(dice, 2)) queue(1, length === PAGE ? MOCK_START + PAGE : MOCK_START);
    if (oneIn(dice, 2)) make(ioctl(iommufd, "IOMMU_IOAS_UNMAP", { size: 24, ioas_id: ioas, iova: 0, length: U64_MAX }));
  }
  const file = handles.fresh("vevent-queue");
  const binds = { out_veventq_id: handles.fresh("veventq"), out_veventq_fd: file };
  const fields = { size: 32, viommu_id, type: 0xbeef_beef, veventq_depth: 1 + dice.roll(3) };
  make(ioctl(iommufd, "IOMMU_VEVENTQ_ALLOC", fields, { binds }));
  for (let rounds = 1 + dice.roll(3); rounds > 0; rounds--) {
    for (let left = dice.roll(6); left > 0; left--) {
      make(ioctl(iommufd, "IOMMU_TEST_OP_TRIGGER_VEVENT", { size: 72, op: 17, dev_id: devid }));
    }
    make({ op: "read", fd: file, count: pick(dice, [64, 64, 12, 24, 8]) });
  }
};

/** A function that is bound through its node, with page tables of its IOAS. */
const asked: Motif = (on, make) => {
  const { dice } = on;
  if (!on.machine.k.has("VFIO_DEVICE_CDEV")) return pick(dice, MOTIFS)(on, make);
  const { iommufd, ioas } = openIoas(on, make);
  const { file, devid } = openBound(on, make, iommufd, pick(dice, on.focus.devices));
  const table = allocHwpt(on, make, iommufd, devid, ioas, { flags: oneIn(dice, 3) ? ALLOC_PASID : 0 });
  if (oneIn(dice, 2)) {
    const queue = allocFaultQueue(on, make, iommufd);
    allocHwpt(on, make, iommufd, devid, ioas, { flags: FAULT_ID_VALID, fault_id: queue });
  }
  attach(on, make, file, oneIn(dice, 3) ? ioas : table);
};

/** For programs about the page tables of mocks. */
export const MOCK_TABLE_MOTIFS: readonly Motif[] = [telling, tellingAtLength, nesting, nesting];
/** For programs about PASIDs of mocks. */
export const PASID_MOTIFS: readonly Motif[] = [withPasids, withPasids, withPasids, nesting];
/** For programs about virtual IOMMUs of mocks. */
export const VIOMMU_MOTIFS: readonly Motif[] = [virtual];
/** For programs about those of functions. */
export const TABLE_MOTIFS: readonly Motif[] = [...times(12, asked), ...FUNCTION_MOTIFS];
