/** Calls that many motifs are made of. Each takes its handles before it is made, and gives those that later calls need. */
import { ioctl, ioctlValue } from "../../model/ioctl-calls.ts";
import { MOCK_START } from "../../model/iommufd/selftest/mock-device.ts";
import { PAGE } from "../../model/kernel/memory-map.ts";
import type { Call, Fields, Node, Value } from "../../model/program.ts";
import { PCI_REGION, REGION_SIZE } from "../../model/vfio/device-info.ts";
import { irqSet } from "./irq-arguments.ts";
import { fileKind, type Situation } from "./moves.ts";

/** Makes a call on the model and adds it to the program; false where it can't be made. */
export type Make = (call: Call) => boolean;

/** Opens a node. */
export function open({ handles }: Situation, make: Make, node: Node): string {
  const as = handles.fresh(fileKind(node));
  make({ op: "open", node, as });
  return as;
}

/** Makes an eventfd. */
export function makeEventfd({ handles }: Situation, make: Make): string {
  const as = handles.fresh("eventfd");
  make({ op: "eventfd", as });
  return as;
}

/** Has interrupts of an index be signalled on eventfds, or unmasked by them, from the first on. */
export function setIrqs(make: Make, fd: string, index: number, flags: number, ...data: readonly Value[]): void {
  make(ioctl(fd, "VFIO_DEVICE_SET_IRQS", irqSet(index, flags, { count: data.length, data })));
}

const COMMAND = PCI_REGION.CONFIG * REGION_SIZE + 4;

/** What of a function the lower byte of its command register enables: I/O ports alone, memory, bus mastering as well. */
export const ENABLES = { PORTS: 1, MEMORY: 3, MASTER: 7 } as const;

/** Writes a function's command register, its lower byte or both. */
export function writeCommand(make: Make, fd: string, ...bytes: readonly number[]): void {
  make({ op: "pwrite", fd, count: bytes.length, offset: COMMAND, bytes });
}

/** Gives a group a container, or an iommufd in place of one. */
export function setContainer(make: Make, group: string, container: string): void {
  make(ioctl(group, "VFIO_GROUP_SET_CONTAINER", { fd: container }));
}

/** Gives a container a backend: 1 and 3 are the two versions of type1. */
export function setIommu(make: Make, container: string, type: number): void {
  make(ioctlValue(container, "VFIO_SET_IOMMU", type));
}

/** Opens a device through its group. */
export function getDevice({ handles }: Situation, make: Make, group: string, device: string): string {
  const as = handles.fresh("device");
  make({ op: "ioctl", fd: group, request: "VFIO_GROUP_GET_DEVICE_FD", arg: { kind: "name", device }, as });
  return as;
}

/** Binds a device through its own node; gives its id. */
export function bind({ handles }: Situation, make: Make, file: string, iommufd: string): string {
  const out_devid = handles.fresh("devid");
  make(ioctl(file, "VFIO_DEVICE_BIND_IOMMUFD", { argsz: 24, iommufd }, { binds: { out_devid } }));
  return out_devid;
}

/** Opens a device's own node and binds it; gives its file and its id. */
export function openBound(
  on: Situation,
  make: Make,
  iommufd: string,
  device: string,
): { readonly file: string; readonly devid: string } {
  const file = open(on, make, { kind: "cdev", device });
  return { file, devid: bind(on, make, file, iommufd) };
}

/** Attaches a device that is bound; gives the page table that it is attached to. */
export function attach({ handles }: Situation, make: Make, file: string, pt_id: Value): string {
  const hwpt = handles.fresh("hwpt");
  make(ioctl(file, "VFIO_DEVICE_ATTACH_IOMMUFD_PT", { argsz: 16, pt_id }, { binds: { pt_id: hwpt } }));
  return hwpt;
}

/** Makes an I/O address space. */
export function allocIoas({ handles }: Situation, make: Make, iommufd: string): string {
  const out_ioas_id = handles.fresh("ioas");
  make(ioctl(iommufd, "IOMMU_IOAS_ALLOC", { size: 12 }, { binds: { out_ioas_id } }));
  return out_ioas_id;
}

/** An iommufd with one I/O address space. */
export function openIoas(on: Situation, make: Make): { readonly iommufd: string; readonly ioas: string } {
  const iommufd = open(on, make, { kind: "iommufd" });
  return { iommufd, ioas: allocIoas(on, make, iommufd) };
}

/** Maps memory of a file, to be read and written, where fields say. */
export function mapFile({ handles }: Situation, make: Make, iommufd: string, fields: Fields): void {
  const binds = { iova: handles.fresh("iova") };
  make(ioctl(iommufd, "IOMMU_IOAS_MAP_FILE", { size: 40, flags: FIXED_READ_WRITE, ...fields }, { binds }));
}

/** A buffer that is mapped: by its file, and where. */
interface MappedBuffer {
  readonly fd: string;
  readonly iova: number;
  readonly length: number;
}

/** A buffer of some pages as drivers share them, mapped at an address that mocks reach. */
export function mapBuffer(on: Situation, make: Make, iommufd: string, ioas_id: Value): MappedBuffer {
  const { dice, handles } = on;
  const fd = handles.fresh("dma-buf");
  const length = (1 + dice.roll(4)) * PAGE;
  make(ioctl(iommufd, "IOMMU_TEST_OP_DMABUF_GET", { size: 72, op: 22, length, open_flags: 2 }, { as: fd }));
  const iova = MOCK_START + (32 + dice.roll(4)) * PAGE;
  mapFile(on, make, iommufd, { ioas_id, fd, length, iova });
  return { fd, iova, length };
}

/** Takes a buffer back, to lend it to nobody from now on. */
export function takeBack(make: Make, iommufd: string, dmabuf_fd: string): void {
  make(ioctl(iommufd, "IOMMU_TEST_OP_DMABUF_REVOKE", { size: 72, op: 23, dmabuf_fd, revoked: 1 }));
}

const FIXED_READ_WRITE = 7;

/** A mock of the kernel's selftests, attached to an IOAS or to a page table. */
export function mock(
  { handles }: Situation,
  make: Make,
  iommufd: string,
  id: Value,
  dev_flags = 0,
): { readonly stdev: string; readonly devid: string } {
  const binds = {
    out_stdev_id: handles.fresh("stdev"),
    out_hwpt_id: handles.fresh("hwpt"),
    out_idev_id: handles.fresh("devid"),
  };
  if (dev_flags === 0) make(ioctl(iommufd, "IOMMU_TEST_OP_MOCK_DOMAIN", { size: 72, op: 2, id }, { binds }));
  else make(ioctl(iommufd, "IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS", { size: 72, op: 12, id, dev_flags }, { binds }));
  return { stdev: binds.out_stdev_id, devid: binds.out_idev_id };
}

/** Makes a VM. */
export function createVm({ handles }: Situation, make: Make, kvm: string): string {
  const as = handles.fresh("vm");
  make({ op: "ioctl", fd: kvm, request: "KVM_CREATE_VM", arg: { kind: "value", value: 0 }, as });
  return as;
}

/** Makes the VFIO device of a VM. */
export function createKvmVfio({ handles }: Situation, make: Make, vm: string): string {
  const fd = handles.fresh("kvm-vfio");
  make(ioctl(vm, "KVM_CREATE_DEVICE", { type: 4 }, { binds: { fd } }));
  return fd;
}

const FILE = 1;
const ADD = 1;
export const DEL = 2;

/** Has a VM know a file, or forget it. */
export function tellVm(make: Make, kvmVfio: string, file: string, attr: typeof ADD | typeof DEL = ADD): void {
  make(ioctl(kvmVfio, "KVM_SET_DEVICE_ATTR", { group: FILE, attr, addr: { fields: { fd: file } } }));
}

/** The smallest page of mocks. */
export const IO_PAGE = PAGE / 2;
/** IOMMU_HWPT_ALLOC_DIRTY_TRACKING */
export const DIRTY_TRACKING = 2;

/** Asks for a page table. Gives the handle of its id. */
export function allocHwpt(
  { handles }: Situation,
  make: Make,
  iommufd: string,
  dev_id: Value,
  pt_id: Value,
  fields: Fields,
): string {
  const out_hwpt_id = handles.fresh("hwpt");
  make(ioctl(iommufd, "IOMMU_HWPT_ALLOC", { size: 48, dev_id, pt_id, ...fields }, { binds: { out_hwpt_id } }));
  return out_hwpt_id;
}
