/** A device without IOMMU is opened through an iommufd without being counted as open, and closed like any other. */
import type { Fault } from "./fault.ts";

export const noiommuNeverOpened: Fault = {
  id: "noiommu-never-opened",
  title: "a device without IOMMU that is opened through an iommufd does not count as open, and its close counts",
  cites: "b25e271b3779 vfio: Fix unbalanced vfio_df_close call in no-iommu mode (6.12.42)",
  breaks: "references-balance",
  shownBy: "iommufd-compat",
  machine: "noiommu",
  apply(k) {
    const right = k.vfio.open;
    k.vfio = {
      ...k.vfio,
      *open(kernel, file) {
        if (!(file.iommufd && file.device.group.type === "noiommu")) yield* right(kernel, file);
      },
    };
  },
};
