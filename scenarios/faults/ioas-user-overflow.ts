/** Linux 6.2: user memory that runs over the end of the address space is mapped. */
import type { Fault } from "./fault.ts";

export const ioasUserOverflow: Fault = {
  id: "ioas-user-overflow",
  title: "IOMMU_IOAS_MAP takes a user address and a length that add up to more than there is",
  cites: "e4395701330f iommufd: Check for uptr overflow (6.3)",
  breaks: "difference",
  shownBy: "iommufd-areas",
  apply(k) {
    const right = k.ioas.checkUserRange;
    k.ioas = { ...k.ioas, checkUserRange: (kernel, _userAddress, length) => right(kernel, 0n, length) };
  },
};
