/** Before 6.6, hot reset information stores the count before the entries. */

import { rule } from "../../model/vfio-pci/hot-reset-info.ts";
import type { Deviation } from "./deviation.ts";

export const hotResetInfoHeader: Deviation = {
  id: "hot-reset-info-header",
  title: "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO that ends in EFAULT has stored its count",
  clause: "VFIO-PCI-HOTINFO-5",
  since: "6.1",
  until: "6.5",
  source: "drivers/vfio/pci/vfio_pci_core.c:vfio_pci_ioctl_get_pci_hot_reset_info",
  upstream: "entries are stored first since 6.6",
  evidence: "hot-reset-info-header",
  apply(k, fired) {
    const HEADER = 12;
    k.hotReset = {
      ...k.hotReset,
      answer(block, image, end) {
        block.copyTo(image, 0, HEADER, rule["VFIO-PCI-HOTINFO-5"]);
        if (!block.canWrite(end)) fired();
        block.copyTo(image, HEADER, end, rule["VFIO-PCI-HOTINFO-5"]);
      },
    };
  },
};
