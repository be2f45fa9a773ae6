/** Invariants over what a program did and saw; they judge a real kernel as well as the model. */

import type { Call, Outcome } from "../../model/program.ts";
import type { Topology } from "../../model/topology.ts";
import type { HistoryInvariant, Violation } from "./invariant.ts";
import { Seen, type SeenFile } from "./seen.ts";

const EINVAL = -22;

/** Whether a file is one of a device's own node that was never bound. */
const unbound = (file: SeenFile | undefined): boolean => file?.node === "cdev" && file.bound === false;

export const gateBeforeAccess: HistoryInvariant = {
  kind: "history",
  id: "gate-before-access",
  title: "nothing but VFIO_DEVICE_BIND_IOMMUFD passes on a device's node before access is granted",
  broken(seen, call, ret) {
    if (ret < 0) return undefined;
    switch (call.op) {
      case "ioctl":
        return call.request !== "VFIO_DEVICE_BIND_IOMMUFD" && unbound(seen.file(call.fd))
          ? `${call.request} succeeded before the device was bound`
          : undefined;
      case "read":
      case "write":
      case "pread":
      case "pwrite":
      case "mmap":
        return unbound(seen.file(call.fd)) ? `${call.op} succeeded before the device was bound` : undefined;
      default:
        return undefined;
    }
  },
};

export const accessStays: HistoryInvariant = {
  kind: "history",
  id: "access-stays",
  title: "a descriptor that has had access to a device keeps it",
  broken(seen, call, ret) {
    // VFIO_DEVICE_RESET is refused with EINVAL where there is no reset, and others for their arguments; DETACH of a
    // plain struct has no other reason to be.
    if (ret !== EINVAL || call.op !== "ioctl" || call.request !== "VFIO_DEVICE_DETACH_IOMMUFD_PT") return undefined;
    if (!seen.file(call.fd)?.bound || call.arg.kind !== "struct") return undefined;
    const { fields, place } = call.arg.struct;
    const plain = place === undefined && fields["argsz"] === 12 && (fields["flags"] ?? 0) === 0;
    return plain ? "a bound device was refused as if it were not" : undefined;
  },
};

/**
 * A caller owns through group descriptors that it shows, or, showing none, through an iommufd that it bound the device
 * to. A reset with no groups from a file that came from a group, or with none of the groups open, can't be owned.
 */
export const hotResetNeedsOwnership: HistoryInvariant = {
  kind: "history",
  id: "hot-reset-ownership",
  title: "a hot reset succeeds only for a caller that owns every device that it hits",
  broken(seen, call, ret) {
    if (ret !== 0 || call.op !== "ioctl" || call.request !== "VFIO_DEVICE_PCI_HOT_RESET") return undefined;
    if (call.arg.kind !== "struct") return undefined;
    const shown = call.arg.struct.fields["group_fds"];
    const groups = Array.isArray(shown) ? shown : [];
    if (groups.length === 0) {
      const file = seen.file(call.fd);
      return file?.bound === false
        ? "a hot reset without groups succeeded on a device that is bound to no iommufd"
        : undefined;
    }
    const foreign = groups.find((handle) => {
      if (typeof handle !== "string") return true;
      const file = seen.file(handle);
      return file !== undefined && file.node !== "group";
    });
    return foreign === undefined ? undefined : `a hot reset succeeded with ${foreign}, which is no group`;
  },
};

/** Holds invariants over history against one run, call by call. */
export class History {
  readonly #invariants: readonly HistoryInvariant[];
  readonly #seen: Seen;

  /** `topology` is that of the machine of the run: which devices are functions. */
  constructor(invariants: readonly HistoryInvariant[], topology?: Topology) {
    this.#invariants = invariants;
    this.#seen = new Seen(topology);
  }

  /** What the call at this index broke, or undefined. */
  after(call: Call, { ret, bytes }: Pick<Outcome, "ret" | "bytes">, at: number): Violation | undefined {
    let violation: Violation | undefined;
    for (const { id, broken } of this.#invariants) {
      const what = broken(this.#seen, call, ret, bytes);
      if (what !== undefined) violation ??= { invariant: id, what, at };
    }
    this.#seen.note(call, ret, bytes);
    return violation;
  }
}
