/** The VFIO device of a VM goes and leaves its VM on record in the files that it lets go. */
import type { Fault } from "./fault.ts";

export const kvmReleaseForgetsRecord: Fault = {
  id: "kvm-release-forgets-record",
  title: "the release of kvm-vfio does not tell its files that their VM is gone",
  cites: "seeded",
  breaks: "recorded-vm-lives",
  shownBy: "emulated-devices",
  apply(k) {
    k.kvmVfio = {
      ...k.kvmVfio,
      *free(kernel, kv, at) {
        const [file] = kv.files.splice(at, 1);
        if (file) kernel.putFile(file);
      },
    };
  },
};
