/** Invariants over what a program did and saw; they judge a real kernel as well as the model. */
import type { Call, Outcome, Value } from "../../model/program.ts";
import type { HistoryChecker, HistoryInvariant } from "./invariant.ts";

const EINVAL = -22;

/**
 * Follows descriptors: which open file each number names, through dup and close. By number, because a handle that was
 * closed still names one, which another file may have got since.
 */
class Descriptors {
  readonly #number = new Map<Value, number>();
  readonly #file = new Map<number, number>();
  #count = 0;

  /** A call gave `handle` the number `fd`, for a file of its own; gives the file. */
  open(handle: Value, fd: number): number {
    this.#number.set(handle, fd);
    this.#file.set(fd, ++this.#count);
    return this.#count;
  }

  dup(from: Value, to: Value, fd: number): void {
    const file = this.get(from);
    this.#number.set(to, fd);
    if (file === undefined) this.#file.delete(fd);
    else this.#file.set(fd, file);
  }

  close(handle: Value): void {
    const fd = this.#fd(handle);
    if (fd !== undefined) this.#file.delete(fd);
  }

  /** The open file, or undefined where there is none, or one that came back in a struct. */
  get(handle: Value): number | undefined {
    const fd = this.#fd(handle);
    return fd === undefined ? undefined : this.#file.get(fd);
  }

  #fd(handle: Value): number | undefined {
    return typeof handle === "number" ? handle : this.#number.get(handle);
  }
}

/** What the invariants over device files share: who was opened how, and bound since. */
abstract class OverDevices implements HistoryChecker {
  readonly descriptors = new Descriptors();
  /** Files of a device's own node, by whether BIND has succeeded. */
  readonly bound = new Map<number, boolean>();

  after(call: Call, { ret }: Pick<Outcome, "ret">): string | undefined {
    const broken = this.check(call, ret);
    switch (call.op) {
      case "open":
        if (ret < 0) break;
        this.opened(call, this.descriptors.open(call.as, ret));
        break;
      case "eventfd":
        if (ret >= 0) this.descriptors.open(call.as, ret);
        break;
      case "dup":
        if (ret >= 0) this.descriptors.dup(call.fd, call.as, ret);
        break;
      case "close":
        if (ret >= 0) this.descriptors.close(call.fd);
        break;
      case "ioctl": {
        const file = this.descriptors.get(call.fd);
        if (ret === 0 && call.request === "VFIO_DEVICE_BIND_IOMMUFD") {
          // Bound through a number that came back in a struct: whose file that is can't be told, so none is told about.
          if (file === undefined) this.bound.clear();
          else this.bound.set(file, true);
        }
        if (call.as !== undefined && ret >= 0) this.descriptors.open(call.as, ret);
        break;
      }
    }
    return broken;
  }

  /** A node was opened. */
  protected opened(call: Call & { op: "open" }, file: number): void {
    if (call.node.kind === "cdev") this.bound.set(file, false);
  }

  /** Whether the file behind a handle is one of a device's own node that was never bound. */
  protected unbound(handle: Value): boolean {
    const file = this.descriptors.get(handle);
    return file !== undefined && this.bound.get(file) === false;
  }

  protected isBound(handle: Value): boolean {
    const file = this.descriptors.get(handle);
    return file !== undefined && this.bound.get(file) === true;
  }

  abstract check(call: Call, ret: number): string | undefined;
}

export const gateBeforeAccess: HistoryInvariant = {
  kind: "history",
  id: "gate-before-access",
  title: "nothing but VFIO_DEVICE_BIND_IOMMUFD passes on a device's node before access is granted",
  begin: () =>
    new (class extends OverDevices {
      override check(call: Call, ret: number): string | undefined {
        if (ret < 0) return undefined;
        switch (call.op) {
          case "ioctl":
            return call.request !== "VFIO_DEVICE_BIND_IOMMUFD" && this.unbound(call.fd)
              ? `${call.request} succeeded before the device was bound`
              : undefined;
          case "read":
          case "write":
          case "pread":
          case "pwrite":
          case "mmap":
            return this.unbound(call.fd) ? `${call.op} succeeded before the device was bound` : undefined;
          default:
            return undefined;
        }
      }
    })(),
};

export const accessStays: HistoryInvariant = {
  kind: "history",
  id: "access-stays",
  title: "a descriptor that has had access to a device keeps it",
  begin: () =>
    new (class extends OverDevices {
      override check(call: Call, ret: number): string | undefined {
        if (call.op !== "ioctl" || !this.isBound(call.fd) || ret !== EINVAL) return undefined;
        // VFIO_DEVICE_RESET is refused with EINVAL where there is no reset, and others for their arguments; DETACH of a
        // plain struct has no other reason to be.
        const plain =
          call.request === "VFIO_DEVICE_DETACH_IOMMUFD_PT" &&
          call.arg.kind === "struct" &&
          call.arg.struct.place === undefined &&
          call.arg.struct.fields["argsz"] === 12 &&
          (call.arg.struct.fields["flags"] ?? 0) === 0;
        return plain ? "a bound device was refused as if it were not" : undefined;
      }
    })(),
};

export const hotResetNeedsOwnership: HistoryInvariant = {
  kind: "history",
  id: "hot-reset-ownership",
  title: "a hot reset succeeds only for a caller that owns every device that it hits",
  begin: () => new HotResetChecker(),
};

/**
 * A caller owns through group descriptors that it shows, or, showing none, through an iommufd that it bound the device
 * to. A reset with no groups from a file that came from a group, or with none of the groups open, can't be owned.
 */
class HotResetChecker extends OverDevices {
  readonly #groups = new Set<number>();

  protected override opened(call: Call & { op: "open" }, file: number): void {
    super.opened(call, file);
    if (call.node.kind === "group") this.#groups.add(file);
  }

  override check(call: Call, ret: number): string | undefined {
    if (call.op !== "ioctl" || call.request !== "VFIO_DEVICE_PCI_HOT_RESET" || ret !== 0) return undefined;
    if (call.arg.kind !== "struct") return undefined;
    const shown = call.arg.struct.fields["group_fds"];
    const groups = Array.isArray(shown) ? shown : [];
    if (groups.length === 0) {
      return this.descriptors.get(call.fd) !== undefined && !this.isBound(call.fd)
        ? "a hot reset without groups succeeded on a device that is bound to no iommufd"
        : undefined;
    }
    const foreign = groups.find((handle) => {
      const file = typeof handle === "string" ? this.descriptors.get(handle) : undefined;
      return typeof handle !== "string" || (file !== undefined && !this.#groups.has(file));
    });
    return foreign === undefined ? undefined : `a hot reset succeeded with ${foreign}, which is no group`;
  }
}
