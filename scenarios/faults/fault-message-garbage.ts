/** Linux 6.11 to 6.13: what no member of a fault's message fills comes from the kernel's stack. */
import type { Fault } from "./fault.ts";

const MESSAGE_SIZE = 40;
const PADDING = 20;

export const faultMessageGarbage: Fault = {
  id: "fault-message-garbage",
  title: "a fault's message brings bytes of the kernel's stack in its padding",
  cites: "e721f619e3ec iommufd: Fix struct iommu_hwpt_pgfault init and padding (6.14)",
  breaks: "difference",
  shownBy: "mock-tables",
  apply(k) {
    const right = k.iommufdDevice.readFaults;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      *readFaults(kernel, queue, io) {
        const done = yield* right(kernel, queue, io);
        for (let at = 0; at < done; at += MESSAGE_SIZE) io.block.bytes[at + PADDING] = 0x5a;
        return done;
      },
    };
  },
};
