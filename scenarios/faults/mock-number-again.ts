/** Linux 6.6 and 6.7: mocks are numbered by how many there are, so that one is named like another that is still there. */
import type { IommuDevice } from "../../model/iommu/device.ts";
import { rule } from "../../model/iommufd/map.ts";
import { refuse } from "../../model/kernel/clause.ts";
import type { Fault } from "./fault.ts";

export const mockNumberAgain: Fault = {
  id: "mock-number-again",
  title: "no mock can be made while one is there that was made after one that is gone",
  cites: "fde372df96af iommufd/selftest: Fix mock_dev_num bug (6.8)",
  breaks: "difference",
  shownBy: "iommufd-mock",
  apply(k) {
    const { createMock, unbindMock } = k.selftest;
    const numbers = new Map<IommuDevice, number>();
    k.selftest = {
      ...k.selftest,
      createMock(kernel, flags) {
        const mock = createMock(kernel, flags);
        if ([...numbers.values()].includes(numbers.size)) {
          kernel.iommu.free(kernel, mock.group);
          // EEXIST, of sysfs: the driver core finds the name taken.
          refuse(rule["IOMMUFD-MAP-9"]);
        }
        numbers.set(mock, numbers.size);
        return mock;
      },
      *unbindMock(kernel, device) {
        yield* unbindMock(kernel, device);
        numbers.delete(device.device);
      },
    };
  },
};
