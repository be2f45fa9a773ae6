/** The place from which a session is read does not move on. */
import type { Fault } from "./fault.ts";

export const migrationPointerStands: Fault = {
  id: "migration-pointer-stands",
  title: "who reads a session in pieces is given the first piece each time",
  cites: "be12ad45e15b hisi_acc_vfio_pci: Update migration data pointer correctly on saving/resume (6.8)",
  breaks: "difference",
  shownBy: "migration",
  apply(k) {
    const right = k.mtty.saveRead;
    k.mtty = {
      ...k.mtty,
      *saveRead(kernel, file, io) {
        const before = file.position;
        const length = yield* right(kernel, file, io);
        io.block.bytes.set(file.data.subarray(0, length));
        file.position = before + length;
        return length;
      },
    };
  },
};
