/** How programs begin that are about guests of idxd: a device with memory and interrupts, up to where its queue works. */
import { ioctl } from "../../model/ioctl-calls.ts";
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import { CONTROL, PCI } from "../../model/mdev/idxd/config-space.ts";
import { DESCRIPTOR } from "../../model/mdev/idxd/descriptor.ts";
import { encode } from "../../model/mdev/idxd/encode.ts";
import { OPERATION } from "../../model/mdev/idxd/mmio.ts";
import { CMD, COMMAND, GENCTRL, REG, SWERR_SIZE, WQ_CONTROL, WQ_WORD } from "../../model/mdev/idxd/registers.ts";
import type { Value } from "../../model/program.ts";
import { PCI_IRQ, REGION_SIZE } from "../../model/vfio/device-info.ts";
import { FEATURE, FEATURE_HEADER, FEATURE_INDEX } from "../../model/vfio/feature.ts";
import { IRQ_SET } from "../../model/vfio/irqs.ts";
import { DmaMap, DmaUnmap } from "../../model/vfio/type1-layouts.ts";
import { oneIn, pick, times } from "./dice.ts";
import { irqSet } from "./irq-arguments.ts";
import { attach, bind, getDevice, type Make, open, openIoas, setContainer, setIommu } from "./motif-calls.ts";
import type { Motif } from "./motifs.ts";
import type { Situation } from "./moves.ts";

const TYPES = ["idxd-dsa-1dwq-v1", "idxd-dsa-1swq-v1"] as const;
const READ_WRITE = 3;
const FIXED_READ_WRITE = 7;
const CONFIG = 7 * REGION_SIZE;
const PORTALS = 2 * REGION_SIZE;
const USER = MEMORY.user;

/** A device that is open, in memory of some pages; with its iommufd and IOAS where it has them. */
interface Guest {
  readonly device: string;
  readonly iommufd?: string;
  readonly ioas?: Value;
  readonly container?: string;
  /** Bytes that are mapped, from address 0 on. */
  readonly length: number;
}

function guest(on: Situation, make: Make): Guest {
  const { dice, machine } = on;
  const names = on.focus.devices.filter((name) => !machine.k.mdevs.some((mdev) => mdev.name === name));
  const name = pick(dice, names.length > 0 ? names : on.focus.devices);
  make({
    op: "sysfs-write",
    attribute: { kind: "mdev-create", parent: "idxd", type: pick(dice, TYPES) },
    text: { device: name },
  });
  const length = (1 + dice.roll(4)) * PAGE;
  if (machine.k.has("VFIO_DEVICE_CDEV") && !oneIn(dice, 3)) {
    const { iommufd, ioas } = openIoas(on, make);
    const device = open(on, make, { kind: "cdev", device: name });
    bind(on, make, device, iommufd);
    attach(on, make, device, ioas);
    const binds = { iova: on.handles.fresh("iova") };
    const fields = { size: 40, flags: FIXED_READ_WRITE, ioas_id: ioas, user_va: USER, length, iova: 0 };
    make(ioctl(iommufd, "IOMMU_IOAS_MAP", fields, { binds }));
    return { device, iommufd, ioas, length };
  }
  const container = open(on, make, { kind: "container" });
  const group = open(on, make, { kind: "group", device: name });
  setContainer(make, group, container);
  setIommu(make, container, 3);
  const device = getDevice(on, make, group, name);
  const fields = { argsz: DmaMap.size, flags: READ_WRITE, vaddr: USER, iova: 0, size: length };
  make(ioctl(container, "VFIO_IOMMU_MAP_DMA", fields));
  return { device, container, length };
}

/** Both vectors are signalled, and errors are told. */
function interrupts({ handles }: Situation, make: Make, device: string): void {
  const data = ["eventfd", "eventfd"].map((kind) => {
    const as = handles.fresh(kind);
    make({ op: "eventfd", as });
    return as;
  });
  make(
    ioctl(device, "VFIO_DEVICE_SET_IRQS", irqSet(PCI_IRQ.MSIX, IRQ_SET.EVENTFD | IRQ_SET.TRIGGER, { count: 2, data })),
  );
  store(make, device, REG.GENCTRL, GENCTRL.SOFTERR_INT);
}

function store(make: Make, fd: string, offset: number, value: number): void {
  make({ op: "pwrite", fd, offset, count: 4, bytes: [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff) });
}

function command(make: Make, device: string, code: number, operand = 0): void {
  store(make, device, REG.CMD, (code << CMD.SHIFT) | operand);
}

/** PASIDs are turned on, and the guest has been given one or none. */
function pasids(on: Situation, make: Make, { device, ioas }: Guest): void {
  const { dice } = on;
  const turnOn = (at: number, bytes: readonly number[]): void => {
    make({ op: "pwrite", fd: device, offset: CONFIG + at, count: bytes.length, bytes });
  };
  turnOn(CONTROL.ATS, [0, 0x80]);
  turnOn(CONTROL.PAGE_REQUEST, [1]);
  turnOn(CONTROL.PASID, [1]);
  if (ioas === undefined || !on.machine.k.since("6.15")) return;
  const pasid = 1 + dice.roll(3);
  const fields = { argsz: 16, flags: 1, pt_id: ioas, pasid };
  make(ioctl(device, "VFIO_DEVICE_ATTACH_IOMMUFD_PT", fields, { binds: { pt_id: on.handles.fresh("ioas") } }));
  if (oneIn(dice, 3)) return;
  const control = WQ_CONTROL.PASID_ENABLE | (pasid << WQ_CONTROL.PASID_SHIFT);
  store(make, device, REG.WQCFG + WQ_WORD.CONTROL, control);
}

/** A guest that is about to submit. */
function working(on: Situation, make: Make): Guest {
  const { dice } = on;
  const it = guest(on, make);
  if (!oneIn(dice, 4)) interrupts(on, make, it.device);
  if (oneIn(dice, 2)) pasids(on, make, it);
  if (oneIn(dice, 3)) logs(make, it.device);
  make({ op: "pwrite", fd: it.device, offset: CONFIG + PCI.COMMAND, count: 2, bytes: [6, 0] });
  command(make, it.device, COMMAND.REQUEST_INT_HANDLE, 1);
  command(make, it.device, COMMAND.ENABLE_DEVICE);
  command(make, it.device, COMMAND.ENABLE_WQ);
  return it;
}

function logs(make: Make, device: string): void {
  const flags = FEATURE.SET | FEATURE_INDEX.DMA_LOGGING_START;
  const ranges = { fields: { iova_0: 0, length_0: 4 * PAGE } };
  const fields = { argsz: FEATURE_HEADER + 24, flags, page_size: PAGE, num_ranges: 1, ranges };
  make(ioctl(device, "VFIO_DEVICE_FEATURE_DMA_LOGGING_START", fields));
}

/** A guest whose memory is unmapped between two descriptors that reach it, with a look at what came of the second. */
const unmapped: Motif = (on, make) => {
  const it = working(on, make);
  const descriptor = encode({ operation: OPERATION.MEMFILL, destination: 0n, size: 64 });
  const submit = (): void => {
    make({ op: "pwrite", fd: it.device, offset: PORTALS, count: DESCRIPTOR, bytes: descriptor });
  };
  submit();
  if (it.iommufd !== undefined && it.ioas !== undefined) {
    make(ioctl(it.iommufd, "IOMMU_IOAS_UNMAP", { size: 24, ioas_id: it.ioas, iova: 0, length: it.length }));
  } else if (it.container !== undefined) {
    make(ioctl(it.container, "VFIO_IOMMU_UNMAP_DMA", { argsz: DmaUnmap.size, iova: 0, size: it.length }));
  }
  submit();
  make({ op: "pread", fd: it.device, offset: REG.SWERR, count: SWERR_SIZE });
};

/** Two guests, mostly of one queue that they share. */
const neighbours: Motif = (on, make) => {
  working(on, make);
  working(on, make);
};

/** What it submits, the walk throws. */
const submitting: Motif = (on, make) => {
  working(on, make);
};

/** A device whose BARs are asked for their sizes, as firmware does. */
const sized: Motif = (on, make) => {
  const { device } = guest(on, make);
  for (const at of [PCI.BAR0, PCI.BAR0 + 4, PCI.BAR2, PCI.BAR2 + 4]) {
    make({ op: "pwrite", fd: device, offset: CONFIG + at, count: 4, bytes: [255, 255, 255, 255] });
    make({ op: "pread", fd: device, offset: CONFIG + at, count: 4 });
  }
};

/** A handle that is asked for, given back, and given back again. */
const handles: Motif = (on, make) => {
  const { device } = guest(on, make);
  command(make, device, COMMAND.REQUEST_INT_HANDLE, 1);
  for (let left = 2; left > 0; left--) {
    command(make, device, COMMAND.RELEASE_INT_HANDLE, on.dice.roll(2));
    make({ op: "pread", fd: device, offset: REG.CMDSTS, count: 4 });
  }
};

export const IDXD_MOTIFS: readonly Motif[] = [
  ...times(5, submitting),
  ...times(2, neighbours),
  unmapped,
  sized,
  handles,
];
