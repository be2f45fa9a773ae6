/** Invariants over two moments of the model's state: a refused call changes nothing, and at the end nothing is left. */

import type { Machine } from "../../model/machine.ts";
import { fingerprint } from "./fingerprint.ts";

export const NO_TRACE = {
  id: "refused-no-trace",
  title: "a call that is refused leaves everything as it was",
} as const;

export const BALANCE = {
  id: "references-balance",
  title: "when every file is closed, no reference, object, owner or pinned page is left",
} as const;

/** Watches one machine. */
export class EffectWatch {
  #before: number;
  readonly #machine: Machine;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#before = fingerprint(machine);
  }

  /** Whether the last call changed anything. */
  changed(): boolean {
    const now = fingerprint(this.#machine);
    const changed = now !== this.#before;
    this.#before = now;
    return changed;
  }

  /** What is left after the process has ended, or undefined. */
  atExit(): string | undefined {
    const { k } = this.#machine;
    for (const { vfio } of [...k.functions, ...k.mdevs, ...k.leavingMdevs]) {
      if (!vfio) continue;
      if (vfio.openCount !== 0) return `${vfio.name} has an open count of ${vfio.openCount}`;
      if (vfio.registrations !== 0) return `${vfio.name} is held by ${vfio.registrations} files`;
      if (vfio.cdevOpened) return `${vfio.name} is still open through its node`;
      if (vfio.kvm) return `${vfio.name} still holds a VM`;
      if (vfio.backing.kind === "pci" && vfio.backing.function.irqs.trace() !== 0)
        return `${vfio.name} still interrupts`;
      if (vfio.backing.kind === "pci" && vfio.backing.function.power.engaged) return `${vfio.name} may still sleep`;
      if (vfio.backing.kind === "pci" && vfio.backing.function.ioeventfds.length > 0)
        return `eventfds still write to ${vfio.name}`;
      if (vfio.iommufdAttached) return `${vfio.name} is still attached`;
      const { group } = vfio;
      if (group.openedFile) return `the group of ${vfio.name} is still open`;
      if (group.container || group.containerUsers !== 0) return `the group of ${vfio.name} still has a container`;
      if (group.iommufd) return `the group of ${vfio.name} still has an iommufd`;
      if (group.cdevDeviceOpenCount !== 0) return `the group of ${vfio.name} is still blocked by bound devices`;
    }
    for (const group of k.iommuGroups) {
      const native = group.members.filter(({ driver }) => driver !== null && !driver.driverManagedDma).length;
      if (group.ownerCount !== native) return `IOMMU group ${group.id} still has ${group.ownerCount - native} owners`;
    }
    if (k.bypass.producers.size > 0) return `${k.bypass.producers.size} interrupts of devices wait for a VM`;
    if (k.bypass.consumers.size > 0) return `${k.bypass.consumers.size} interrupts of VMs wait for a device`;
    if (k.vms.size > 0) return `${k.vms.size} VMs are still alive`;
    if (k.iommufdContexts.size > 0) return `${k.iommufdContexts.size} iommufds are still there`;
    for (const { pinnedPages, lockedPages } of k.mms) {
      if (pinnedPages !== 0) return `${pinnedPages} pages are still pinned`;
      if (lockedPages !== 0) return `${lockedPages} pages are still counted as locked`;
    }
    const locked = k.userLockedPages;
    if (locked !== 0) return `${locked} pages are still counted as locked`;
    return undefined;
  }
}
