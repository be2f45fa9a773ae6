/** Linux 6.7: data of a page table may have a type and no length. */
import type { Fault } from "./fault.ts";

export const hwptDataWithoutLength: Fault = {
  id: "hwpt-data-without-length",
  title: "IOMMU_HWPT_ALLOC takes a type of data without any data",
  cites: "7adc0c1cfa77 iommufd: Reject non-zero data_type if no data_len is provided (6.8)",
  breaks: "difference",
  shownBy: "page-tables",
  apply(k) {
    k.iommufdDevice = { ...k.iommufdDevice, isDataWhole: (type, length) => type !== 0 || length === 0 };
  },
};
