/** A read that begins in the middle of the OpRegion's version goes on two bytes further: a pointer to words was counted in bytes. */
import type { Fault } from "./fault.ts";

const VERSION = 0x16;

export const igdVersionMisread: Fault = {
  id: "igd-version-misread",
  title: "the upper byte of an OpRegion's version, read by itself, is another",
  cites: "8704e8934908 vfio/pci: Fix OpRegion read (5.16)",
  breaks: "difference",
  shownBy: "driver-igd",
  machine: "variants",
  apply(k) {
    const right = k.igd.read;
    k.igd = {
      ...k.igd,
      read(kernel, bytes, io, offset, told) {
        const count = right(kernel, bytes, io, offset, told);
        if (offset === VERSION + 1) io.block.bytes[0] = bytes[VERSION + 2] ?? 0;
        return count;
      },
    };
  },
};
