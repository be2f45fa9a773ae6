/** Probes: state that sysfs, procfs and debugfs show, read between calls. */
import { refuse } from "./kernel/clause.ts";
import type { Kernel } from "./kernel/kernel.ts";
import { Unmodelled } from "./kernel/operation.ts";
import { rule as vfsRule } from "./kernel/vfs.ts";
import { hasCdev, vfioDevice, vfioGroup } from "./nodes.ts";
import type { Probe } from "./program.ts";

/** KiB of a page. */
const PAGE_KIB = 4;

/** Takes a probe: the value is the return value, text goes where it is wanted. */
export function runProbe(k: Kernel, probe: Probe, answer: { text: string | undefined }): number {
  switch (probe.kind) {
    case "driver": {
      const driver = driverOf(k, probe.device);
      if (driver === null) return refuse(vfsRule["VFS-OPEN-1"]);
      answer.text = driver;
      return 0;
    }
    case "group-node":
      return vfioGroup(k, probe.device) ? 0 : refuse(vfsRule["VFS-OPEN-1"]);
    case "cdev-node": {
      const device = vfioDevice(k, probe.device);
      return device && hasCdev(k, device) ? 0 : refuse(vfsRule["VFS-OPEN-1"]);
    }
    case "asleep": {
      const pciFunction = k.functions.find(({ spec }) => spec.name === probe.device);
      if (!pciFunction || !k.has("PM")) return refuse(vfsRule["VFS-OPEN-1"]);
      return k.vfioPci.sleeps(k, pciFunction) ? 1 : 0;
    }
    case "auxiliaries": {
      // The bus itself is in kernels for whose drivers it is, wherever that is.
      if (k.topology.managed.length === 0) throw new Unmodelled("the auxiliary bus of a machine");
      const names = k.auxiliaries.map((device) => device.name).sort();
      answer.text = names.join("\n");
      return names.length;
    }
    case "aux-driver": {
      const driver = k.auxiliaries.find((device) => device.name === probe.name)?.driver;
      if (!driver) return refuse(vfsRule["VFS-OPEN-1"]);
      answer.text = driver.name;
      return 0;
    }
    case "mdevs": {
      const names = k.mdevs.map((mdev) => mdev.uuid).sort();
      answer.text = names.join("\n");
      return names.length;
    }
    case "mdev-type":
      answer.text = k.mdev.typeOfDevice(k, probe.device);
      return 0;
    case "type-devices": {
      const names = k.mdev.devicesOfType(k, probe.parent, probe.type).sort();
      answer.text = names.join("\n");
      return names.length;
    }
    case "group-members": {
      const names = groupMembers(k, probe.device);
      if (!names) return refuse(vfsRule["VFS-OPEN-1"]);
      answer.text = names.sort().join("\n");
      return names.length;
    }
    case "vms":
      return countInDebugfs(k);
    case "pinned":
      return k.mm.pinnedPages * PAGE_KIB;
    case "locked":
      return k.mm.lockedPages * PAGE_KIB;
    case "tainted":
      return k.tainted ? 1 : 0;
  }
}

/** Directories of VMs; one whose name was taken by a VM that is alive has none. */
function countInDebugfs(k: Kernel): number {
  let count = 0;
  let perhaps = 0;
  for (const { inDebugfs } of k.vms) {
    if (inDebugfs) count++;
    else if (inDebugfs === null) perhaps++;
  }
  if (perhaps === 0) return count;
  const most = count + perhaps;
  return Number(k.choose({ at: "return" }, BigInt(most), (value) => value >= BigInt(count) && value <= BigInt(most)));
}

/** Name of the driver that a device is bound to; null when it is bound to none, or is not there. */
function driverOf(k: Kernel, name: string): string | null {
  const pciFunction = k.functions.find((candidate) => candidate.spec.name === name);
  if (pciFunction) return pciFunction.leaving ? null : (pciFunction.driver?.name ?? null);
  return k.mdevs.find((candidate) => candidate.name === name)?.driver ?? null;
}

function groupMembers(k: Kernel, name: string): string[] | null {
  const pciFunction = k.functions.find((candidate) => candidate.spec.name === name);
  if (pciFunction) {
    if (!pciFunction.group) return null;
    return [...pciFunction.group.members.map((member) => member.spec.address), ...pciFunction.group.bridges];
  }
  const mdev = k.mdevs.find((candidate) => candidate.name === name);
  return mdev?.vfio?.group.iommuGroup ? [mdev.uuid] : null;
}
