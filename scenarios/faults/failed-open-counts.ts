/** A device that could not be enabled counts as open, so that the next to open it finds it done. */
import type { Fault } from "./fault.ts";

export const failedOpenCounts: Fault = {
  id: "failed-open-counts",
  title: "an open of a function that fails is counted nevertheless",
  cites: "61d792562b53 vfio-pci: Use mutex around open, release, and remove",
  breaks: "open-is-backed",
  shownBy: "pci-functions",
  apply(k) {
    const right = k.vfio.open;
    k.vfio = {
      ...k.vfio,
      *open(kernel, file) {
        const { device } = file;
        const before = device.openCount;
        try {
          yield* right(kernel, file);
        } catch (refusal) {
          if (before === 0 && !device.emulated) device.openCount = 1;
          throw refusal;
        }
      },
    };
  },
};
