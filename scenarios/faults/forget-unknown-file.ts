/** A VM that is told to forget a file which it does not know takes it from the VM that does. */
import type { Fault } from "./fault.ts";

export const forgetUnknownFile: Fault = {
  id: "forget-unknown-file",
  title: "FILE_DEL of a file that this VM was not told of decouples it from the VM that was",
  cites: "e323369b2e20 kvm-vfio: Decouple only when we match a group",
  breaks: "refused-no-trace",
  shownBy: "kvm-vfio",
  apply(k) {
    const right = k.kvmVfio.remove;
    k.kvmVfio = {
      ...k.kvmVfio,
      *remove(kernel, kv, fd) {
        const file = kernel.fds.get(fd);
        if (file && !kv.files.includes(file)) yield* kernel.kvmVfio.setKvm(kernel, file, null);
        yield* right(kernel, kv, fd);
      },
    };
  },
};
