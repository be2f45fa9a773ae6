/**
 * Programs: calls of one task, and of those that it starts, as data. What is generated, shrunk, stored, replayed and exported.
 *
 * Calls name handles (`"@group0"`), never numbers, so that a program means the same on every target. In memory a value is
 * a number, a bigint for what does not fit 53 bits, or a string that names a handle.
 */

/** A number, or a handle: `"@ioas0"` is whatever number the target gave that handle. */
export type Value = number | bigint | string;

/** Where a call's struct lies in the caller's memory. Left out: in plain memory. A number: only so many bytes of it
 * are mapped, the rest is a hole. */
export type Place = "null" | "unmapped" | "readonly" | number;

/** A struct by its fields; those left out are zero. */
export interface StructArgument {
  readonly fields: Fields;
  readonly place?: Place;
  /** Bytes after the struct's end, for a caller newer than the kernel. */
  readonly tail?: readonly number[];
}

/** Fields of a struct by their names. */
export type Fields = Readonly<Record<string, FieldValue>>;

/** A field's value: a plain one, a struct it points to, or the elements of a trailing array. */
export type FieldValue = Value | StructArgument | readonly Value[];

/** The third argument of an ioctl. */
export type IoctlArgument =
  | { readonly kind: "struct"; readonly struct: StructArgument }
  | { readonly kind: "value"; readonly value: Value }
  /** A device's name as text, NUL-terminated; `text` for one that no device has, or for what stands behind the name. */
  | { readonly kind: "name"; readonly device?: string; readonly text?: string; readonly place?: Place };

/** A device node: fixed, or found through a device of the machine. */
export type Node =
  | { readonly kind: "container" }
  | { readonly kind: "iommufd" }
  | { readonly kind: "kvm" }
  | { readonly kind: "group"; readonly device: string }
  | { readonly kind: "cdev"; readonly device: string }
  /** the char device of one of idxd's work queues, by the queue's name */
  | { readonly kind: "wq"; readonly queue: string };

/**
 * A sysfs attribute that is read or written. An mdev type goes by the name of its directory: parent `mtty` has `mtty-1`
 * and `mtty-2`, parent `mdpy` has `mdpy-vga`, `mdpy-xga` and `mdpy-hd`.
 */
export type Attribute =
  | { readonly kind: "driver_override"; readonly device: string }
  /** how many virtual functions a physical one has, and can have */
  | { readonly kind: "sriov"; readonly device: string; readonly file: "sriov_numvfs" | "sriov_totalvfs" }
  | { readonly kind: "bind"; readonly driver: string }
  | { readonly kind: "unbind"; readonly driver: string }
  /** ids of functions that a driver takes: one more, or one that was added less */
  | { readonly kind: "new_id"; readonly driver: string }
  | { readonly kind: "remove_id"; readonly driver: string }
  | { readonly kind: "pci-bus"; readonly file: "drivers_probe" | "drivers_autoprobe" | "rescan" }
  /** takes a function off the bus, or has the bus that it is on looked over for functions that are not there */
  | { readonly kind: "pci-device"; readonly device: string; readonly file: "remove" | "rescan" }
  /** the same of the bridge that a function lies behind, whether or not the function is there */
  | { readonly kind: "pci-bridge"; readonly device: string; readonly file: "rescan" }
  /** a driver of the auxiliary bus: `mlx5_vfio_pci.vfio_pci_ex` */
  | { readonly kind: "aux-driver"; readonly driver: string; readonly file: "bind" | "unbind" }
  | { readonly kind: "mdev-create"; readonly parent: string; readonly type: string }
  | { readonly kind: "mdev-remove"; readonly device: string }
  | { readonly kind: "available_instances"; readonly parent: string; readonly type: string }
  /** what a sample's driver shows of its device: the first is of mtty, the other of mdpy */
  | { readonly kind: "mdev-vendor"; readonly device: string; readonly file: "sample_mdev_dev" | "resolution" }
  /** what else a type says of itself */
  | {
      readonly kind: "mdev-type";
      readonly parent: string;
      readonly type: string;
      readonly file: "name" | "description" | "device_api";
    }
  /** a driver of the mdev bus: `mtty`, `mdpy` */
  | { readonly kind: "mdev-driver"; readonly driver: string; readonly file: "bind" | "unbind" }
  | { readonly kind: "mdev-bus"; readonly file: "drivers_probe" | "drivers_autoprobe" }
  /** a work queue of idxd, by its name: `wq0.1` */
  | {
      readonly kind: "wq";
      readonly queue: string;
      readonly file: "type" | "mode" | "threshold" | "block_on_fault" | "state";
    }
  /** a driver of work queues: `dmaengine`, `user`, `mdev` */
  | { readonly kind: "wq-driver"; readonly driver: string; readonly file: "bind" | "unbind" };

/** What is written to an attribute: a device's bus name, or text. */
export type Text = { readonly device: string } | { readonly text: string };

/** State that a kernel developer would look at between calls. */
export type Probe =
  /** basename of the device's `driver` link */
  | { readonly kind: "driver"; readonly device: string }
  /** whether /dev/vfio/N of the device's group is there */
  | { readonly kind: "group-node"; readonly device: string }
  /** whether /dev/vfio/devices/vfioN of the device is there */
  | { readonly kind: "cdev-node"; readonly device: string }
  /** whether a function sleeps (`runtime_status`), once it has had the time to fall asleep: 0 or 1 */
  | { readonly kind: "asleep"; readonly device: string }
  /** names in /sys/bus/auxiliary/devices */
  | { readonly kind: "auxiliaries" }
  /** basename of the `driver` link of a device of the auxiliary bus, which goes by its own name */
  | { readonly kind: "aux-driver"; readonly name: string }
  /** names in /sys/bus/mdev/devices */
  | { readonly kind: "mdevs" }
  /** basename of a mediated device's `mdev_type` link */
  | { readonly kind: "mdev-type"; readonly device: string }
  /** names in the `devices` directory of an mdev type */
  | { readonly kind: "type-devices"; readonly parent: string; readonly type: string }
  /** names of the devices in the device's IOMMU group */
  | { readonly kind: "group-members"; readonly device: string }
  /** VMs alive, counted in debugfs */
  | { readonly kind: "vms" }
  /** pages that the process has pinned through iommufd (VmPin), in KiB */
  | { readonly kind: "pinned" }
  /** pages that count as locked by the process (VmLck), in KiB */
  | { readonly kind: "locked" }
  /** whether user space has tainted the kernel by what it asked for (TAINT_USER): 0 or 1 */
  | { readonly kind: "tainted" };

/** A capability that programs give up, and take again. */
export type Capability = "CAP_IPC_LOCK" | "CAP_SYS_RAWIO" | "CAP_SYS_ADMIN" | "CAP_SYS_RESOURCE";

/** Where read(2) puts what it brings. */
export interface ReadBuffer {
  /** Bytes asked for. */
  readonly count: number;
  readonly place?: Place;
  /** Handle for what is read, so that it can be written elsewhere; only of a buffer in plain memory. */
  readonly into?: string;
}

/** What write(2) is given. */
export interface WriteBuffer {
  readonly count: number;
  readonly place?: Place;
  /** The buffer's content; zeros follow where it is shorter than `count`. */
  readonly bytes?: readonly number[];
  /** What a read brought, in the place of bytes. */
  readonly from?: string;
}

/** Bytes that one access of memory moves; it is aligned to them. */
export type AccessWidth = 1 | 2 | 4 | 8;

/** One system call or access of memory, and what it has to cope with. */
export type Call = SystemCall & {
  /**
   * The allocation of the call that fails, counted from 1: the kernel's fail-nth. A call that makes fewer is done as ever.
   * Allocations differ from kernel to kernel, so there is no saying beforehand which one it is, or whether there is one.
   * Only calls of mayRunOut have it.
   */
  readonly failNth?: number;
  /** The process that makes the call, where that is not the program itself (mayBeBy). One that has ended leaves it to the program. */
  readonly by?: string;
};

type SystemCall =
  | { readonly op: "open"; readonly node: Node; readonly flags?: number; readonly as: string }
  | { readonly op: "eventfd"; readonly as: string }
  /** memfd_create(2), and ftruncate(2) to so many bytes; one that is sealed nobody can write to from then on (F_SEAL_WRITE) */
  | { readonly op: "memfd"; readonly size: number; readonly sealed?: true; readonly as: string }
  | { readonly op: "close"; readonly fd: Value }
  | { readonly op: "dup"; readonly fd: Value; readonly as: string }
  | {
      readonly op: "ioctl";
      readonly fd: Value;
      readonly request: string;
      readonly arg: IoctlArgument;
      /** Handle for the return value, where that is an fd. */
      readonly as?: string;
      /** Handles for what the struct's fields bring. */
      readonly binds?: Readonly<Record<string, string>>;
    }
  | ({ readonly op: "read"; readonly fd: Value } & ReadBuffer)
  | ({ readonly op: "write"; readonly fd: Value } & WriteBuffer)
  | ({ readonly op: "pread"; readonly fd: Value; readonly offset: Value } & ReadBuffer)
  | ({ readonly op: "pwrite"; readonly fd: Value; readonly offset: Value } & WriteBuffer)
  /** Asks what can be done with a file now, without waiting for anything. The result is what poll(2) has in `revents`. */
  | { readonly op: "poll"; readonly fd: Value }
  /** Asks a file where it begins and ends; of a buffer that drivers share that is how its size is told. */
  | { readonly op: "lseek"; readonly fd: Value; readonly offset: number; readonly whence: number }
  | {
      readonly op: "mmap";
      readonly fd: Value;
      readonly length: number;
      readonly prot: number;
      readonly offset: Value;
      /** MAP_PRIVATE in the place of MAP_SHARED. */
      readonly private?: true;
      /** Handle for the address. */
      readonly as?: string;
    }
  /** Ends all of a mapping. */
  | { readonly op: "munmap"; readonly at: Value; readonly length: number }
  /** Loads so many bytes from a mapping. The result is 0, or the signal that came of it: see SIGNAL in uapi/errno.ts. */
  | { readonly op: "load"; readonly at: Value; readonly offset: number; readonly width: AccessWidth }
  | {
      readonly op: "store";
      readonly at: Value;
      readonly offset: number;
      readonly width: AccessWidth;
      readonly value: number | bigint;
    }
  | { readonly op: "sysfs-write"; readonly attribute: Attribute; readonly text: Text }
  /**
   * Has another task write text to an attribute, and goes on once that is over, or waits for something that only other calls bring
   * about. The result is 1 where it waits, 0 where it is over.
   */
  | { readonly op: "start"; readonly attribute: Attribute; readonly text: Text; readonly as: string }
  /**
   * Makes a process with a copy of the program's memory, its capabilities and limits, and the same table of descriptors (CLONE_FILES).
   * The result is 0.
   */
  | { readonly op: "fork"; readonly as: string }
  /** Ends such a process, and waits until its memory is gone. The result is 0. */
  | { readonly op: "exit"; readonly process: string }
  /** Waits for such a task to be done. The result is that of its write. */
  | { readonly op: "join"; readonly task: string }
  | { readonly op: "sysfs-read"; readonly attribute: Attribute }
  | { readonly op: "probe"; readonly probe: Probe }
  /** Makes every capability effective that the caller is permitted, but these. */
  | { readonly op: "capset"; readonly without: readonly Capability[] }
  /** Sets both limits on a resource, in bytes. */
  | {
      readonly op: "prlimit";
      readonly resource: "RLIMIT_MEMLOCK";
      readonly soft: number | bigint;
      readonly hard: number | bigint;
    };

/** Processes that a program can make. */
export const MOST_PROCESSES = 4;

/** Whether another process than the program can make a call: one whose answer depends on whose memory it is. */
export function mayBeBy(call: Call): boolean {
  switch (call.op) {
    case "ioctl":
      return call.failNth === undefined && call.arg.kind !== "name";
    case "load":
    case "store":
      return true;
    case "probe":
      return call.probe.kind === "pinned" || call.probe.kind === "locked";
    default:
      return false;
  }
}

const MAY_RUN_OUT: ReadonlySet<Call["op"]> = new Set([
  "open",
  "eventfd",
  "close",
  "dup",
  "ioctl",
  "read",
  "write",
  "pread",
  "pwrite",
  "mmap",
  "sysfs-write",
  "sysfs-read",
]);

/** Whether a program may ask for an allocation of such a call to fail: others only look, or set the scene. */
export function mayRunOut({ op }: Call): boolean {
  return MAY_RUN_OUT.has(op);
}

/** Calls, and the kind of machine they are meant for. */
export interface Program {
  /** Name of the topology, see `machines` in topology.ts. */
  readonly machine: string;
  readonly calls: readonly Call[];
}

/** What a call did: what a target saw, or what the model says. */
export interface Outcome {
  /** Return value, or a negative errno. */
  readonly ret: number;
  /** The struct after the call, the buffer of a read, as far as it is mapped, or what was loaded. */
  readonly bytes?: Uint8Array;
  /** What the struct's pointers lead to after the call, as far as it is mapped: a block for every struct in the argument. */
  readonly pointed?: readonly Uint8Array[];
  /** What a probe or a sysfs read gave. */
  readonly text?: string;
  /** Of a call that asked for it: whether an allocation failed. */
  readonly failed?: boolean;
}
