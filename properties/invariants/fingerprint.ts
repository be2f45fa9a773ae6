/**
 * A number for the model's whole state, so that "nothing has changed" can be asked after every refused call.
 *
 * Everything that a call can change is mixed in: counts, flags, ids, and for references whether there is one and what it
 * counts. It is on the hot path: no strings, no allocation.
 */

import { IommufdFile } from "../../model/iommufd/main.ts";
import type { IommufdContext } from "../../model/iommufd/objects.ts";
import { type Vm, VmFile } from "../../model/kvm/kvm.ts";
import { KvmVfioFile } from "../../model/kvm/vfio.ts";
import type { Machine } from "../../model/machine.ts";
import { type Container, ContainerFile } from "../../model/vfio/container.ts";
import { DeviceFile, type VfioDevice } from "../../model/vfio/device.ts";
import { GroupFile, type VfioGroup } from "../../model/vfio/group.ts";

let hash = 0;

function mix(value: number): void {
  hash = Math.imul(hash ^ value, 0x01000193);
}

function flag(value: unknown): void {
  mix(value ? 3 : 5);
}

/** The state of a machine between two calls. */
export function fingerprint({ k }: Machine): number {
  hash = 0x811c9dc5 | 0;
  contexts.length = 0;
  const { files } = k.fds;
  for (let fd = 0; fd < files.length; fd++) {
    const file = files[fd];
    if (!file) continue;
    mix(fd);
    mix(file.refs);
    if (file instanceof DeviceFile) deviceFile(file);
    else if (file instanceof GroupFile) groupFile(file);
    else if (file instanceof ContainerFile) container(file.container);
    else if (file instanceof IommufdFile) context(file.context);
    else if (file instanceof VmFile) vm(file.vm);
    else if (file instanceof KvmVfioFile) mix(file.kv.files.length);
  }
  for (const group of k.iommuGroups) {
    mix(group.ownerCount);
    flag(group.owner);
  }
  for (const pciFunction of k.functions) {
    if (pciFunction.driver !== null) mix(pciFunction.driver.length);
    if (pciFunction.driverOverride !== null) mix(pciFunction.driverOverride.length);
    if (pciFunction.vfio) vfioDevice(pciFunction.vfio);
    else mix(7);
  }
  for (const { vfio, driver } of k.mdevs) {
    mix(driver === null ? 11 : 13);
    if (vfio) vfioDevice(vfio);
  }
  for (const entry of k.vms) vm(entry);
  mix(k.mm.pinnedPages);
  mix(k.mm.lockedPages);
  mix(k.mm.userLockedPages);
  const { withoutMask, memlockPages, hardMemlock } = k.task.credentials;
  mix(withoutMask);
  mix(memlockPages);
  mix(Number(hardMemlock % 0xffff_fffbn));
  mix(k.deferred.length);
  mix(k.task.held.length);
  mix(k.order.cycles.length);
  return hash;
}

function vfioDevice(device: VfioDevice): void {
  mix(device.openCount);
  mix(device.registrations);
  flag(device.cdevOpened);
  flag(device.registered);
  flag(device.iommufdAttached);
  flag(device.iommufdDevice);
  flag(device.iommufdAccess);
  if (device.kvm) mix(device.kvm.refs);
  vfioGroup(device.group);
}

function vfioGroup(group: VfioGroup): void {
  mix(group.drivers);
  mix(group.devices.length);
  mix(group.containerUsers);
  mix(group.cdevDeviceOpenCount);
  flag(group.openedFile);
  flag(group.iommuGroup);
  flag(group.iommufd);
  flag(group.kvm);
  if (group.container) container(group.container);
  else mix(17);
}

function container({ groups, iommu }: Container): void {
  mix(groups.length);
  if (iommu) mix(iommu.type * 31 + iommu.groups.length);
}

function deviceFile(file: DeviceFile): void {
  flag(file.accessGranted);
  flag(file.iommufd);
  flag(file.kvm);
  mix(file.devid);
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
  mix(of.compatIoas ? of.compatIoas.id : 0);
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

function vm({ refs, vfio }: Vm): void {
  mix(refs);
  mix(vfio ? vfio.files.length + 1 : 0);
}
