/** What an access reads or writes of a file begins where its page begins. */
import type { Fault } from "./fault.ts";

export const fileReadFromPage: Fault = {
  id: "file-read-from-page",
  title: "an access reads and writes a file from the begin of a page on, wherever in it the range begins",
  cites: "seeded",
  breaks: "difference",
  shownBy: "iommufd-access",
  apply(k) {
    const right = k.iommufdDevice.rwFile;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      rwFile: (file, address, data) => right(file, address & ~0xfffn, data),
    };
  },
};
