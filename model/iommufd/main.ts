/** /dev/iommu: the dispatch of its commands, and the life of objects. Beside drivers/iommu/iommufd/main.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import { type Argument, type Ioctl, ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { checkZeroTail } from "../kernel/user-memory.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import { field, layout } from "../uapi/layout.ts";
import { type Version, versionNumber } from "../uapi/version.ts";
import { checkExtension, getApiVersion, setIommu } from "../vfio/container.ts";
import { dirtyPages } from "../vfio/type1-dirty.ts";
import { iommuGetInfo } from "../vfio/type1-info.ts";
import { mapDma } from "../vfio/type1-map.ts";
import { unmapDma } from "../vfio/type1-unmap.ts";
import { ioasAllowIovas } from "./allow-iovas.ts";
import type { Accounting } from "./area.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { steps as changeProcessSteps, ioasChangeProcess } from "./change-process.ts";
import { ioasCopy } from "./copy.ts";
import { getDirtyBitmap, setDirtyTracking } from "./dirty.ts";
import { faultQueueAlloc } from "./fault-queue.ts";
import { IommufdFile } from "./file.ts";
import { getHwInfo, HW_INFO_MIN_SIZE } from "./hw-info.ts";
import { hwQueueAlloc } from "./hw-queue.ts";
import { HWPT_ALLOC_MIN_SIZE, hwptAlloc } from "./hwpt-alloc.ts";
import { hwptInvalidate } from "./invalidate.ts";
import { ioasAlloc } from "./ioas.ts";
import { ioasIovaRanges } from "./iova-ranges.ts";
import { ioasMap } from "./map.ts";
import { ioasMapFile } from "./map-file.ts";
import { type IommufdContext, type IommufdObject, MAX_ID } from "./objects.ts";
import { option, steps as optionSteps } from "./option.ts";
import { TEST_MIN_SIZE, testCommand } from "./selftest/command.ts";
import "./unassigned.ts";
import { ioasUnmap } from "./unmap.ts";
import { vdeviceAlloc } from "./vdevice.ts";
import { VEVENTQ_ALLOC_MIN_SIZE, veventqAlloc } from "./vevent-queue.ts";
import { steps as vfioCompat, rule as vfioCompatRule, vfioIoas } from "./vfio-compat.ts";
import { VIOMMU_ALLOC_MIN_SIZE, viommuAlloc } from "./viommu.ts";

const source = (name: string) => iommufdSource("main", name);

export const rule = clauses({
  "IOMMUFD-IOCTL-1": {
    ...IOMMUFD,
    rule: "the size at the struct's start must be readable, even where the number names no command",
    errno: "EFAULT",
    source: source("iommufd_fops_ioctl"),
  },
  "IOMMUFD-IOCTL-2": {
    ...IOMMUFD,
    rule: "a number that names no command is refused",
    errno: "ENOTTY",
    source: "include/uapi/linux/iommufd.h:General ioctl format",
  },
  "IOMMUFD-IOCTL-3": {
    ...IOMMUFD,
    rule: "the size must cover the fields that the command has had from the start",
    errno: "EINVAL",
    source: source("iommufd_fops_ioctl"),
  },
  "IOMMUFD-IOCTL-4": {
    ...IOMMUFD,
    rule: "what the caller knows more of than the kernel must be zero",
    errno: "E2BIG",
    source: "include/uapi/linux/iommufd.h:General ioctl format",
  },
  "IOMMUFD-IOCTL-5": {
    ...IOMMUFD,
    rule: "the struct must be readable as far as its size says",
    errno: "EFAULT",
    source: source("iommufd_fops_ioctl"),
  },
  "IOMMUFD-DESTROY-1": {
    ...IOMMUFD,
    rule: "id must be the id of an object",
    errno: "ENOENT",
    source: source("iommufd_object_remove"),
  },
  "IOMMUFD-DESTROY-2": {
    ...IOMMUFD,
    rule: "an object that another object or a driver uses can't be destroyed",
    errno: "EBUSY",
    source: source("iommufd_object_remove"),
  },
  "IOMMUFD-DESTROY-3": {
    ...IOMMUFD,
    rule: "the object is gone with all that it maps, its id is free, and it is no compatibility IOAS any more",
    source: source("iommufd_object_remove"),
    observable: "later-call",
  },
  "IOMMUFD-CLOSE-1": {
    ...IOMMUFD,
    rule: "when descriptors, devices and groups have let go of the file, all its objects are destroyed",
    source: source("iommufd_fops_release"),
    observable: "sysfs",
  },
});

const Destroy = layout("iommu_destroy", {
  size: field.argsz(),
  id: field.id("ioas", "hwpt", "devid", "stdev", "fault"),
});

export const destroy = ioctl<IommufdFile>({
  name: "IOMMU_DESTROY",
  request: vfioRequest(0x80),
  argument: { kind: "struct", layout: Destroy },
  on: ["iommufd"],
  since: "6.2",
  weight: 0.6,
  useful: (_k, { context }) => context.someIoas((ioas) => ioas.users === 1),
  *run(k, { context }, { block }): Operation<number> {
    const object = context.get(block.u32(4));
    must(object !== undefined, rule["IOMMUFD-DESTROY-1"]);
    must(k.iommufd.isUnused(object), rule["IOMMUFD-DESTROY-2"]);
    yield* k.iommufd.removeObject(k, context, object);
    k.keeps(rule["IOMMUFD-DESTROY-3"]);
    return 0;
  },
});

/** A command by its number: since when kernels have it, and its definition. */
interface Slot {
  readonly since: number;
  readonly definition: Ioctl<IommufdFile>;
  readonly size: number;
  /** Bytes of the struct that a caller must know. */
  readonly minSize: number;
}

function slot(since: Version, definition: Ioctl<IommufdFile>, minSize?: number): Slot {
  const size = definition.argument.kind === "struct" ? definition.argument.layout.size : 0;
  return { since: versionNumber(since), definition, size, minSize: minSize ?? size };
}

const FIRST_NUMBER = 0x80;
/** IOMMU_TEST_CMD stands far behind the others, and makes the table of a kernel that has it longer. */
const TEST_NUMBER = 0xa0;

const TEST_SLOT = slot("6.2", testCommand, TEST_MIN_SIZE);

/** iommufd_ioctl_ops, from IOMMU_DESTROY on. Every command's struct is as it was in the beginning. */
const SLOTS: readonly Slot[] = [
  slot("6.2", destroy),
  slot("6.2", ioasAlloc),
  slot("6.2", ioasAllowIovas),
  slot("6.2", ioasCopy),
  slot("6.2", ioasIovaRanges),
  slot("6.2", ioasMap),
  slot("6.2", ioasUnmap),
  slot("6.2", option),
  slot("6.2", vfioIoas),
  slot("6.6", hwptAlloc, HWPT_ALLOC_MIN_SIZE),
  slot("6.6", getHwInfo, HW_INFO_MIN_SIZE),
  slot("6.7", setDirtyTracking),
  slot("6.7", getDirtyBitmap),
  slot("6.8", hwptInvalidate),
  slot("6.11", faultQueueAlloc),
  slot("6.13", ioasMapFile),
  slot("6.13", viommuAlloc, VIOMMU_ALLOC_MIN_SIZE),
  slot("6.13", vdeviceAlloc),
  slot("6.14", ioasChangeProcess),
  slot("6.15", veventqAlloc, VEVENTQ_ALLOC_MIN_SIZE),
  slot("6.17", hwQueueAlloc),
];

/** Whether the number lies in the kernel's table, which ends with the last command that it has. */
function inTable(k: Kernel, nr: number): boolean {
  if (nr < FIRST_NUMBER) return false;
  if (k.has("IOMMUFD_TEST")) return nr <= TEST_NUMBER;
  return SLOTS.some((candidate, index) => FIRST_NUMBER + index >= nr && k.version >= candidate.since);
}

export const steps = {
  ...vfioCompat,
  ...changeProcessSteps,
  ...optionSteps,

  /** iommufd_fops_open */
  open(k: Kernel, mode: number, accounting: Accounting): IommufdFile {
    const file = new IommufdFile(mode, accounting);
    k.iommufdContexts.add(file.context);
    return file;
  },

  /** iommufd_fops_ioctl */
  ioctl(k: Kernel, file: IommufdFile, command: Ioctl, arg: Argument): Operation<number> {
    const nr = command.request & 0xff;
    if (!inTable(k, nr)) return k.iommufd.vfioIoctl(k, file, command, arg);
    const { block } = arg;
    block.copyFrom(4, rule["IOMMUFD-IOCTL-1"]);
    const found = nr === TEST_NUMBER ? TEST_SLOT : SLOTS[nr - FIRST_NUMBER];
    const known = found !== undefined && k.version >= found.since;
    must(known && command.request === vfioRequest(nr), rule["IOMMUFD-IOCTL-2"]);
    const userSize = block.u32(0);
    must(userSize >= found.minSize, rule["IOMMUFD-IOCTL-3"]);
    if (userSize > found.size) {
      checkZeroTail(block, found.size, userSize, rule["IOMMUFD-IOCTL-5"], rule["IOMMUFD-IOCTL-4"]);
    }
    block.copyFrom(Math.min(userSize, found.size), rule["IOMMUFD-IOCTL-5"]);
    return found.definition.run(k, file, arg);
  },

  /** iommufd_vfio_ioctl: numbers outside of the table may be a container's. */
  vfioIoctl(k: Kernel, file: IommufdFile, command: Ioctl, arg: Argument): Operation<number> {
    switch (command.request) {
      case getApiVersion.request:
        return getApiVersion.run(k, file, arg);
      case checkExtension.request:
        return checkExtension.run(k, file, arg);
      case setIommu.request:
        return setIommu.run(k, file, arg);
      case iommuGetInfo.request:
        return iommuGetInfo.run(k, file, arg);
      case mapDma.request:
        return mapDma.run(k, file, arg);
      case unmapDma.request:
        return unmapDma.run(k, file, arg);
      case dirtyPages.request:
        return refuse(vfioCompatRule["IOMMUFD-COMPAT-12"]);
    }
    return refuse(vfsRule["VFS-IOCTL-1"]);
  },

  /** The id of a new object: any that is free. This model's own choice is the lowest, as xa_alloc's. */
  chooseId(k: Kernel, context: IommufdContext, site: ChoiceSite | null): number {
    const own = context.lowestFreeId();
    if (!site) return own;
    return Number(
      k.choose(site, BigInt(own), (id) => id >= 1n && id <= BigInt(MAX_ID) && !context.isTaken(Number(id))),
    );
  },

  /** Whether nothing but the table of ids holds the object. */
  isUnused(object: IommufdObject): boolean {
    return object.users === 1;
  },

  /** The end of iommufd_object_remove, for an object that nothing uses. */
  *removeObject(k: Kernel, context: IommufdContext, object: IommufdObject): Operation<void> {
    context.remove(object);
    if (context.compatIoas === object) context.compatIoas = null;
    switch (object.kind) {
      case "ioas":
        return yield* k.ioas.destroy(k, object);
      case "hwpt":
      case "nested":
        return yield* k.iommufdDevice.destroyHwpt(k, object);
      case "fault":
        return;
      case "viommu":
        return k.iommufdDevice.destroyViommu(object);
      case "vdevice":
        return yield* k.iommufdDevice.destroyVdevice(k, object);
      case "hw-queue":
        return yield* k.iommufdDevice.destroyHwQueue(k, object);
      case "veventq":
        return yield* k.iommufdDevice.destroyVeventq(k, object);
      case "selftest":
        return yield* k.selftest.destroyMock(k, object);
      case "device":
      case "access":
        throw new Error(`the driver of ${object.kind} ${object.id} still uses it`);
    }
  },

  /** iommufd_ctx_put: drops a reference to the file of the context. */
  put(k: Kernel, context: IommufdContext): void {
    k.putFile(context.file);
  },

  /** iommufd_fops_release: users go before what they use. */
  *release(k: Kernel, context: IommufdContext): Operation<void> {
    for (let found = true; found; ) {
      found = false;
      for (const object of context.objects.values()) {
        if (object.users > 1) continue;
        yield* k.iommufd.removeObject(k, context, object);
        found = true;
      }
    }
    k.iommufdContexts.delete(context);
    k.keeps(rule["IOMMUFD-CLOSE-1"]);
  },
};
