/**
 * Memory that can run out: allocations of a call that a program asks to fail. Beside lib/fault-inject.c and mm/failslab.c.
 *
 * An operation says `k.alloc()` where it takes memory that may not be there, in the kernel's order. How many allocations
 * a call makes is nobody's to count on: it differs from kernel to kernel. So a kernel that was seen to fail one may refuse
 * the call, whichever it was, or do it as ever; in both cases nothing may be left half done.
 */
import type { Call } from "../program.ts";
import { ERRNO } from "../uapi/errno.ts";
import { PCI_IRQ } from "../vfio/device-info.ts";
import { type Clause, clauses, refuse } from "./clause.ts";
import type { File } from "./file.ts";
import type { Failure, Kernel } from "./kernel.ts";
import { Unmodelled } from "./operation.ts";

/** Fail-nth hits the hooks of iommufd's own test as it hits allocations. */
const HOOK = {
  source: "drivers/iommu/iommufd/selftest.c:iommufd_should_fail",
  since: "6.2",
  kconfig: ["IOMMUFD", "IOMMUFD_TEST"],
  unseen: "it is a hook that kernels have for testing their error paths, and the model has none",
} as const;

export const rule = clauses({
  "ALLOC-1": {
    rule: "a call that can't get memory that it needs is refused, and nothing has changed",
    errno: "ENOMEM",
    source: "include/uapi/linux/iommufd.h:General ioctl format",
  },
  "ALLOC-2": {
    rule: "closing a file takes no memory that may not be there: it succeeds, and what the file held is given back",
    source: "fs/open.c:close",
  },
  "ALLOC-3": {
    ...HOOK,
    rule: "where a kernel made for tests pretends that an object is not there, the call is refused, and nothing has changed",
    errno: "ENOENT",
  },
  "ALLOC-4": {
    ...HOOK,
    rule: "where a kernel made for tests pretends that memory can't be pinned, the call is refused, and nothing has changed",
    errno: "EFAULT",
  },
  "ALLOC-5": {
    ...HOOK,
    rule: "where a kernel made for tests pretends that a range can't be had, the call is refused, and nothing has changed",
    errno: "EINVAL",
  },
  "ALLOC-6": {
    rule: "a BAR that can't be claimed for want of memory counts as taken: the call is refused, and nothing has changed",
    errno: "EBUSY",
    source: "drivers/pci/pci.c:__pci_request_region",
    unseen: "which of a call's allocations is the claim's is for the kernel to know",
  },
});

/** What is left of the caller's luck in the call in flight. */
export class Memory {
  /** Allocations until one fails; 0 where none does. */
  #left = 0;
  /** Whether an allocation of the call in flight has failed. */
  failed = false;

  /** Begins a call whose nth allocation fails, or none; of which it is known already whether one has `failed`. */
  arm(nth: number, failed = false): void {
    this.#left = nth;
    this.failed = failed;
  }

  /** kmalloc and its kin: refuses the call where this is the allocation that fails. */
  take(): void {
    if (this.#left === 0 || --this.#left > 0) return;
    this.failed = true;
    refuse(rule["ALLOC-1"]);
  }
}

/** Commands of other files that lead into iommufd. */
const INTO_IOMMUFD: ReadonlySet<string> = new Set([
  "VFIO_DEVICE_BIND_IOMMUFD",
  "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
  "VFIO_DEVICE_DETACH_IOMMUFD_PT",
  "VFIO_GROUP_SET_CONTAINER",
  "VFIO_GROUP_GET_DEVICE_FD",
]);

const HOOKS = [rule["ALLOC-3"], rule["ALLOC-4"], rule["ALLOC-5"]] as const;

/** Commands that go step by step, and may stop on the way: vfio.h has the caller ask where (struct vfio_device_feature_mig_state). */
const STEP_BY_STEP: ReadonlySet<string> = new Set(["VFIO_DEVICE_FEATURE", "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE"]);

/** IOMMU_TEST_PASID_RESERVED */
const FAILING_PASID = 1024;

/** Vectors come and go one by one, and the kernel's core of interrupts has errnos of its own where it lacks memory. */
function lacksVectors(call: Call, ret: number): boolean {
  if (call.op !== "ioctl" || call.request !== "VFIO_DEVICE_SET_IRQS" || call.arg.kind !== "struct") return false;
  const { index } = call.arg.struct.fields;
  if (index !== PCI_IRQ.MSI && index !== PCI_IRQ.MSIX) return false;
  return ret > 0 || ret === -ERRNO.ENOMEM || ret === -ERRNO.ENOSPC || ret === -ERRNO.ENODEV;
}

/** Where a driver refuses a function, for want of memory or otherwise, whoever asked for it is not told. */
function looksForDrivers(call: Call): boolean {
  if (call.op !== "sysfs-write") return false;
  const { attribute } = call;
  if (attribute.kind === "pci-bus") return attribute.file !== "drivers_autoprobe";
  return attribute.kind === "new_id" || attribute.kind === "pci-device" || attribute.kind === "pci-bridge";
}

/** Calls by whose first on a BAR vfio-pci claims it. */
const CLAIMS: ReadonlySet<Call["op"]> = new Set(["read", "pread", "write", "pwrite", "mmap"]);

function claimsBar(call: Call, file: File | undefined): boolean {
  if (file?.kind !== "device") return false;
  return CLAIMS.has(call.op) || (call.op === "ioctl" && call.request === "VFIO_DEVICE_IOEVENTFD");
}

/** iommufd.h has a refused invalidation tell, in entry_num, how much of it was done. */
const HANDLED = "how many requests of an invalidation were handled before memory ran out";

/**
 * The clause by which a target that failed an allocation of a call refused it with this result; null where the result has
 * nothing to do with that, so that it must be the one that is right without.
 */
export function refusedForMemory(
  call: Call,
  ret: number,
  file: File | undefined,
  kconfig: ReadonlySet<string>,
): Clause | null {
  if (call.op === "close") return null;
  if (ret > 0 && looksForDrivers(call)) throw new Unmodelled("which functions a driver got before memory ran out");
  if (lacksVectors(call, ret)) throw new Unmodelled("which vectors were set before memory ran out");
  if (ret === -ERRNO.ENOMEM) {
    if (call.op === "ioctl" && STEP_BY_STEP.has(call.request)) {
      throw new Unmodelled("how far a change of state came that ran out of memory");
    }
    if (call.op === "ioctl" && call.request === "IOMMU_TEST_OP_TRIGGER_VEVENT") {
      throw new Unmodelled("an event that is lost for want of memory, which its queue tells of");
    }
    if (call.op === "ioctl" && call.request === "IOMMU_HWPT_INVALIDATE") throw new Unmodelled(HANDLED);
    if (namesFailingPasid(call)) throw new Unmodelled("whether a PASID failed that fails every second time");
    return rule["ALLOC-1"];
  }
  if (ret === -ERRNO.EBUSY && claimsBar(call, file)) return rule["ALLOC-6"];
  if (call.op !== "ioctl" || !kconfig.has("IOMMUFD_TEST")) return null;
  if (ret === 0 && call.request === "IOMMU_TEST_OP_TRIGGER_IOPF") {
    throw new Unmodelled("a page fault that is lost for want of memory, which only its device hears of");
  }
  if (file?.kind !== "iommufd" && !INTO_IOMMUFD.has(call.request)) return null;
  const hook = HOOKS.find(({ code }) => ret === -code) ?? null;
  if (hook && call.request === "IOMMU_HWPT_INVALIDATE") throw new Unmodelled(HANDLED);
  return hook;
}

/** Whether a call is about the PASID of mocks that now and then fails by itself, with ENOMEM as well. */
function namesFailingPasid(call: Call): boolean {
  if (call.op !== "ioctl" || call.arg.kind !== "struct") return false;
  return call.request.startsWith("IOMMU_TEST_OP_PASID_") && call.arg.struct.fields["pasid"] === FAILING_PASID;
}

/** A call of which an allocation fails. */
export interface Strike {
  readonly call: Call;
  /** What its descriptor names. */
  readonly file: File | undefined;
  /** What a target was seen to do; undefined where the model counts, and may find that there are fewer allocations. */
  readonly seen: Failure | undefined;
}

export const steps = {
  /** What an allocation that fails leaves behind, whatever comes of the call: nothing. */
  strikes(_k: Kernel, _strike: Strike): void {},
};
