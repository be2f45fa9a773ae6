/** Containers: /dev/vfio/vfio. Beside drivers/vfio/container.c. */
import { IommufdFile } from "../iommufd/file.ts";
import { clauses, must, refuse } from "../kernel/clause.ts";
import { File } from "../kernel/file.ts";
import { type Argument, dispatch, type Ioctl, ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import type { VfioGroup } from "./group.ts";
import { rule as noiommuRule } from "./noiommu.ts";
import { EXTENSION, type Type1 } from "./type1.ts";

export const rule = clauses({
  "VFIO-CONT-VERSION-1": {
    rule: "VFIO_GET_API_VERSION answers 0, whatever the state and the argument",
    source: "include/uapi/linux/vfio.h:VFIO_GET_API_VERSION",
  },
  "VFIO-CONT-EXT-1": {
    rule: "VFIO_CHECK_EXTENSION answers 0 or a positive number, and never fails on a container",
    source: "include/uapi/linux/vfio.h:VFIO_CHECK_EXTENSION",
  },
  "VFIO-CONT-SETIOMMU-1": {
    rule: "an IOMMU backend can only be chosen for a container that holds a group",
    errno: "EINVAL",
    source: "drivers/vfio/container.c:vfio_ioctl_set_iommu",
  },
  "VFIO-CONT-SETIOMMU-2": {
    rule: "a container's IOMMU backend can't be chosen a second time",
    errno: "EINVAL",
    source: "drivers/vfio/container.c:vfio_ioctl_set_iommu",
  },
  "VFIO-CONT-SETIOMMU-3": {
    rule: "a type that no backend reports as an extension can't be chosen",
    errno: "ENODEV",
    source: "drivers/vfio/container.c:vfio_ioctl_set_iommu",
  },
  "VFIO-CONT-SETIOMMU-4": {
    rule: "an extension of type1 that is no type can't be chosen",
    errno: "EINVAL",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_open",
  },
  "VFIO-CONT-SETIOMMU-5": {
    rule: "choosing type1 attaches every group of the container to it",
    source: "drivers/vfio/container.c:vfio_ioctl_set_iommu",
    observable: "later-call",
  },
  "VFIO-CONT-IOCTL-1": {
    rule: "without a backend every other command is refused, whatever its argument",
    errno: "EINVAL",
    source: "drivers/vfio/container.c:vfio_fops_unl_ioctl",
  },
  "VFIO-CONT-ATTACH-1": {
    rule: "DMA of a physical group is owned by user space from the moment it joins a container",
    source: "drivers/vfio/container.c:vfio_container_attach_group",
    observable: "later-call",
  },
  "VFIO-CONT-DETACH-1": {
    rule: "when the last group leaves, the backend goes and the container is as new",
    source: "drivers/vfio/container.c:vfio_group_detach_container",
    observable: "later-call",
  },
});

const groupLockClass = new LockClass("container->group_lock");
const driversLockClass = new LockClass("vfio.iommu_drivers_lock");

/** struct vfio_container. It lives as long as its file or a group in it. */
export class Container {
  /** In the order in which they joined; the kernel goes through them from the last. */
  readonly groups: VfioGroup[] = [];
  /** Whether its groups have no IOMMU; says nothing while there are none. */
  noiommu = false;
  /** The backend that was chosen, and what it made of the container: no-IOMMU mode makes nothing. */
  driver: "type1" | "noiommu" | null = null;
  iommu: Type1 | null = null;
  readonly groupLock = new Lock(groupLockClass);
  /** Taken with the container's own lock only, so one per container orders the same as the kernel's global one. */
  readonly driversLock = new Lock(driversLockClass);
}

export class ContainerFile extends File {
  readonly kind = "container";
  readonly container = new Container();

  override ioctl(k: Kernel, command: Ioctl, arg: Argument): Operation<number> {
    const known = dispatch(COMMANDS, k, this, command, arg);
    if (known) return known;
    if (!this.container.driver) refuse(rule["VFIO-CONT-IOCTL-1"]);
    if (this.container.driver === "noiommu") refuse(vfsRule["VFS-IOCTL-1"]);
    return k.type1.ioctl(k, this, command, arg);
  }
}

/** Files that answer the container's own three commands; what an iommufd says to them is in iommufd/vfio-compat.ts. */
export type ContainerLike = File;

export const getApiVersion = ioctl<ContainerLike>({
  name: "VFIO_GET_API_VERSION",
  request: vfioRequest(100),
  argument: { kind: "none" },
  on: ["container", "iommufd"],
  weight: 0.3,
  *run(k): Operation<number> {
    k.keeps(rule["VFIO-CONT-VERSION-1"]);
    return 0;
  },
});

export const checkExtension = ioctl<ContainerLike>({
  name: "VFIO_CHECK_EXTENSION",
  request: vfioRequest(101),
  argument: { kind: "value", values: [1, 3, 6, 7, 8, 9, 10, 4, 2, 5, 0, 11, 99] },
  on: ["container", "iommufd"],
  weight: 0.5,
  *run(k, file, arg): Operation<number> {
    if (file instanceof IommufdFile) return yield* k.iommufd.checkExtension(k, file.context, arg.value);
    if (!(file instanceof ContainerFile)) throw new Unmodelled("VFIO_CHECK_EXTENSION on this kind of file");
    k.keeps(rule["VFIO-CONT-EXT-1"]);
    return yield* k.container.checkExtension(k, file.container, arg.value);
  },
});

export const setIommu = ioctl<ContainerLike>({
  name: "VFIO_SET_IOMMU",
  request: vfioRequest(102),
  argument: { kind: "value", values: [1, 3, 6, 8, 9, 10, 4, 2, 0, 99] },
  on: ["container", "iommufd"],
  weight: 1.5,
  useful: (_k, file) => file instanceof ContainerFile && file.container.groups.length > 0 && !file.container.driver,
  *run(k, file, arg): Operation<number> {
    if (file instanceof IommufdFile) {
      yield* k.iommufd.setIommu(k, file.context, arg.value);
      return 0;
    }
    if (!(file instanceof ContainerFile)) throw new Unmodelled("VFIO_SET_IOMMU on this kind of file");
    yield* k.container.setIommu(k, file.container, arg.value);
    return 0;
  },
});

const COMMANDS: readonly Ioctl<ContainerLike>[] = [getApiVersion, checkExtension, setIommu];

export const steps = {
  /** vfio_container_ioctl_check_extension: without a backend, the first that may be chosen and says yes. */
  *checkExtension(k: Kernel, container: Container, extension: number): Operation<number> {
    using _ = yield* k.lock(container.groupLock);
    if (container.driver === "noiommu") return k.noiommu.checkExtension(k, extension);
    if (container.iommu) return yield* k.type1.checkExtension(k, container.iommu, extension);
    using _drivers = yield* k.lock(container.driversLock);
    const any = container.groups.length === 0;
    if (any || !container.noiommu) {
      const answer = yield* k.type1.checkExtension(k, null, extension);
      if (answer > 0) return answer;
    }
    return any || container.noiommu ? k.noiommu.checkExtension(k, extension) : 0;
  },

  /** vfio_ioctl_set_iommu */
  *setIommu(k: Kernel, container: Container, type: number): Operation<void> {
    using _ = yield* k.lock(container.groupLock);
    must(container.groups.length > 0, rule["VFIO-CONT-SETIOMMU-1"]);
    must(!container.driver, rule["VFIO-CONT-SETIOMMU-2"]);
    using _drivers = yield* k.lock(container.driversLock);
    if (container.noiommu) {
      k.noiommu.open(k, type);
      container.driver = "noiommu";
      return;
    }
    must((yield* k.type1.checkExtension(k, null, type)) > 0, rule["VFIO-CONT-SETIOMMU-3"]);
    must(type !== EXTENSION.UNMAP_ALL, rule["VFIO-CONT-SETIOMMU-4"]);
    k.alloc();
    const iommu = k.type1.open(type);
    // A group that can't be attached lets the call fail; those before it are detached, and the instance goes.
    try {
      for (const group of container.groups.toReversed()) yield* k.type1.attachGroup(k, iommu, group);
    } catch (refusal) {
      for (const group of [...iommu.groups]) yield* k.type1.detachGroup(k, iommu, group);
      throw refusal;
    }
    container.driver = "type1";
    container.iommu = iommu;
    k.keeps(rule["VFIO-CONT-SETIOMMU-5"]);
  },

  /** vfio_container_attach_group; the caller holds group_lock. */
  *attachGroup(k: Kernel, container: Container, group: VfioGroup): Operation<void> {
    const noiommu = group.type === "noiommu";
    must(!noiommu || k.noiommu.permitted(k), noiommuRule["VFIO-NOIOMMU-JOIN-1"]);
    using _ = yield* k.lock(container.groupLock);
    must(container.groups.length === 0 || container.noiommu === noiommu, noiommuRule["VFIO-NOIOMMU-MIX-1"]);
    if (group.type === "iommu") yield* k.iommu.claimGroup(k, group.requireIommuGroup(), group);
    if (container.iommu) {
      try {
        yield* k.type1.attachGroup(k, container.iommu, group);
      } catch (refusal) {
        if (group.type === "iommu") yield* k.iommu.release(k, group.requireIommuGroup());
        throw refusal;
      }
    }
    group.container = container;
    group.containerUsers = 1;
    container.noiommu = noiommu;
    container.groups.push(group);
    k.keeps(rule["VFIO-CONT-ATTACH-1"]);
  },

  /** vfio_group_detach_container; the caller holds group_lock. */
  *detachGroup(k: Kernel, group: VfioGroup): Operation<void> {
    const container = group.container;
    if (!container) return;
    using _ = yield* k.lock(container.groupLock);
    if (container.iommu) yield* k.type1.detachGroup(k, container.iommu, group);
    if (group.type === "iommu") yield* k.iommu.release(k, group.requireIommuGroup());
    group.container = null;
    group.containerUsers = 0;
    container.groups.splice(container.groups.indexOf(group), 1);
    if (container.groups.length === 0) {
      container.driver = null;
      container.iommu = null;
      k.keeps(rule["VFIO-CONT-DETACH-1"]);
    }
  },
};
