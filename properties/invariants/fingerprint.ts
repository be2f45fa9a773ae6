/**
 * A number for the model's whole state, so that "nothing has changed" can be asked after every refused call.
 *
 * Everything that a call can change is mixed in: counts, flags, ids, and for references whether there is one and what it
 * counts. It is on the hot path: no strings, no allocation.
 */

import { DmaBufFile } from "../../model/dma-buf.ts";
import { EventFile } from "../../model/eventfd.ts";
import { IommufdFile } from "../../model/iommufd/file.ts";
import type { IommufdContext } from "../../model/iommufd/objects.ts";
import { AccessFile } from "../../model/iommufd/selftest/access-file.ts";
import type { Mm } from "../../model/kernel/mm.ts";
import { traceRoutes } from "../../model/kvm/gsi-routing.ts";
import { type Vm, VmFile } from "../../model/kvm/kvm.ts";
import { KvmVfioFile } from "../../model/kvm/vfio.ts";
import type { Machine } from "../../model/machine.ts";
import { MttyDataFile } from "../../model/mdev/mtty-session.ts";
import { MemfdFile } from "../../model/memfd.ts";
import { type Container, ContainerFile } from "../../model/vfio/container.ts";
import { DeviceFile, type VfioDevice } from "../../model/vfio/device.ts";
import type { Dma } from "../../model/vfio/dma.ts";
import { GroupFile, type VfioGroup } from "../../model/vfio/group.ts";
import { traceStrays } from "../../model/vfio-pci/config-space.ts";
import { DriverDataFile } from "../../model/vfio-pci/drivers/data-file.ts";

let hash = 0;

function mix(value: number): void {
  hash = Math.imul(hash ^ value, 0x01000193);
}

/** One bit for whether something is there. */
const bit = (value: unknown, at: number): number => (value ? 1 << at : 0);

function memory(mm: Mm | undefined): void {
  if (!mm) return;
  mix(mm.pinnedPages);
  mix(mm.lockedPages);
  mix(mm.content.writes);
  mix(bit(mm.gone, 0));
}

/** The state of a machine between two calls. */
export function fingerprint({ k }: Machine): number {
  hash = 0x811c9dc5 | 0;
  contexts.length = 0;
  const { files } = k.fds;
  for (let fd = 0; fd < files.length; fd++) {
    const file = files[fd];
    if (!file) continue;
    mix(fd * 4096 + file.refs);
    if (file instanceof DeviceFile) deviceFile(file);
    else if (file instanceof GroupFile) groupFile(file);
    else if (file instanceof ContainerFile) container(file.container);
    else if (file instanceof IommufdFile) context(file.context);
    else if (file instanceof VmFile) vm(file.vm);
    else if (file instanceof KvmVfioFile) mix(file.kv.files.length);
    else if (file instanceof EventFile) mix(Number(file.counter.count & 0xffff_ffffn));
    else if (file instanceof AccessFile) mix(file.trace());
    else if (file instanceof MttyDataFile || file instanceof DriverDataFile) mix(file.trace());
    else if (file instanceof MemfdFile) mix(file.trace());
    else if (file instanceof DmaBufFile) mix(file.trace());
  }
  const { iommuGroups, functions, mdevs } = k;
  mix(k.pciBus.trace());
  for (let i = 0; i < k.auxiliaries.length; i++)
    mix((k.auxiliaries[i]?.id ?? 0) * 2 + bit(k.auxiliaries[i]?.driver, 0));
  for (let i = 0; i < iommuGroups.length; i++) {
    const group = iommuGroups[i];
    if (group)
      mix(
        group.ownerCount * 8 +
          bit(group.owner, 0) +
          bit(group.domain !== "default", 1) +
          bit(typeof group.domain === "object", 2),
      );
  }
  for (let i = 0; i < functions.length; i++) {
    const pciFunction = functions[i];
    if (!pciFunction) continue;
    const { driver, driverOverride, vfio } = pciFunction;
    mix((driver === null ? 0 : driver.name.length) * 64 + (driverOverride === null ? 0 : driverOverride.length));
    if (vfio) vfioDevice(vfio);
    else mix(7);
    const hardware = pciFunction.hardware?.trace() ?? 0;
    if (hardware !== 0) mix(hardware);
    const registers = pciFunction.config?.trace() ?? 0;
    if (registers !== 0) mix(registers);
    // What an emulated adapter loses of its virtual functions by a reset, and be it that of a refused call's closing, is not the kernel's.
    if (pciFunction.strays.size > 0 && !pciFunction.vfs.some(({ lost }) => lost)) mix(traceStrays(pciFunction));
  }
  for (let i = 0; i < mdevs.length; i++) {
    const mdev = mdevs[i];
    if (!mdev) continue;
    if (!mdev.active) mix(11);
    if (mdev.vfio) vfioDevice(mdev.vfio);
    else mix(13);
  }
  for (let i = 0; i < k.leavingMdevs.length; i++) mix(17);
  for (let i = 0; i < functions.length; i++) mix(bit(functions[i]?.leaving, 0) | bit(functions[i]?.removing, 1));
  let free = bit(k.mdevBus.autoprobe, 0);
  for (let i = 0; i < k.mdevParents.length; i++) free = free * 64 + (k.mdevParents[i]?.free ?? 0);
  mix(free);
  if (k.accelerator) {
    const { queues, pasids, ims } = k.accelerator;
    mix(pasids.length * 64 + ims.size);
    for (let i = 0; i < queues.length; i++) mix(queues[i]?.trace() ?? 0);
  }
  for (const entry of k.vms) vm(entry);
  const { producers, consumers } = k.bypass;
  mix(producers.size * 1024 + consumers.size);
  for (let i = 0; i < k.mms.length; i++) memory(k.mms[i]);
  mix(k.userLockedPages);
  const { withoutMask, memlockPages, hardMemlock } = k.task.credentials;
  mix(withoutMask);
  mix(memlockPages);
  mix(Number(hardMemlock));
  mix(k.deferred.length + (k.task.held.length << 8) + (k.order.cycles.length << 16));
  return hash;
}

// What is counted stays small, so that several counts and bits go into one number.

function vfioDevice(device: VfioDevice): void {
  mix(
    bit(device.cdevOpened, 0) |
      bit(device.registered, 1) |
      bit(device.iommufdAttached, 2) |
      bit(device.iommufdDevice, 3) |
      bit(device.iommufdAccess, 4) |
      (device.openCount << 5) |
      (device.registrations << 19),
  );
  if (device.ops.trace) mix(device.ops.trace(device));
  if (device.kvm) mix(device.kvm.refs);
  vfioGroup(device.group);
}

function vfioGroup(group: VfioGroup): void {
  mix(
    bit(group.openedFile, 0) |
      bit(group.iommuGroup, 1) |
      bit(group.iommufd, 2) |
      bit(group.kvm, 3) |
      (group.drivers << 4) |
      (group.devices.length << 11) |
      (group.containerUsers << 18) |
      (group.cdevDeviceOpenCount << 25),
  );
  if (group.container) container(group.container);
}

function container({ groups, driver, iommu }: Container): void {
  mix(groups.length * 4 + (driver === "noiommu" ? 2 : 0) + 1);
  if (!iommu) return;
  mix(((iommu.type * 31 + iommu.groups.length) << 2) | bit(iommu.tracking, 0) | bit(iommu.windows, 1));
  const { all } = iommu.dmas;
  for (let i = 0; i < all.length; i++) {
    const dma = all[i];
    if (dma) mapping(dma);
  }
}

function mapping({ iova, size, vaddr, iommuMapped, lockedPages, vaddrInvalid, dirty }: Dma): void {
  mix(Number(BigInt.asUintN(48, iova * 31n + size * 7n + vaddr) % 0xffff_fffbn));
  mix((lockedPages << 3) | bit(iommuMapped, 0) | bit(vaddrInvalid, 1) | bit(dirty, 2));
}

function deviceFile(file: DeviceFile): void {
  mix(bit(file.accessGranted, 0) | bit(file.iommufd, 1) | bit(file.kvm, 2) | (file.devid << 3));
  mix(file.position);
  // A registered device comes by itself, with its group.
  if (!file.device.registered) vfioDevice(file.device);
  if (file.iommufd) context(file.iommufd);
}

/** A group that has devices comes with them. */
function groupFile({ group }: GroupFile): void {
  if (group.devices.length === 0) vfioGroup(group);
}

/** Those that were mixed in already: several files lead to one. */
const contexts: IommufdContext[] = [];

function context(of: IommufdContext): void {
  if (contexts.includes(of)) return;
  contexts.push(of);
  mix(of.refs);
  mix(of.compatIoas ? of.compatIoas.id : of.noIommuMode ? -1 : 0);
  // The order of objects says nothing, so they are summed up.
  const outer = hash;
  let sum = 0;
  for (const object of of.objects.values()) {
    hash = object.id;
    mix(object.users);
    mix(object.trace());
    sum = (sum + hash) | 0;
  }
  hash = outer;
  mix(sum);
}

function vm(of: Vm): void {
  const { refs, vfio, noncoherentDma, irqchip, routes, irqfds } = of;
  mix(refs);
  mix(noncoherentDma);
  mix(vfio ? vfio.files.length + 1 : 0);
  if (irqchip === null) return;
  mix(irqchip === "split" ? 1 : irqchip.trace());
  mix(traceRoutes(routes));
  for (let i = 0; i < irqfds.length; i++) mix((irqfds[i]?.gsi ?? 0) + 1);
  mix(of.underWay.size * 64 + of.bypassIrqs);
}
