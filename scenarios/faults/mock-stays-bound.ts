/** A mock that can't be attached stays bound. */
import type { Fault } from "./fault.ts";

export const mockStaysBound: Fault = {
  id: "mock-stays-bound",
  title: "a device that was bound and could not be attached is not unbound: its id and its group stay taken",
  cites: "seeded",
  breaks: "refused-no-trace",
  shownBy: "iommufd-objects",
  apply(k) {
    k.selftest = { ...k.selftest, *unbindMock() {} };
  },
};
