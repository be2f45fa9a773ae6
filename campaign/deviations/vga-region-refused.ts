/** The VGA region of a function that is no VGA adapter. */
import { refuse } from "../../model/kernel/clause.ts";
import { rule } from "../../model/vfio/device-info.ts";
import type { Deviation } from "./deviation.ts";

export const vgaRegionRefused: Deviation = {
  id: "vga-region-refused",
  title: "VFIO_DEVICE_GET_REGION_INFO of the VGA region is refused where the header promises a region of size zero",
  clause: "VFIO-PCI-REGION-1",
  since: "6.1",
  source: "drivers/vfio/pci/vfio_pci_core.c:vfio_pci_ioctl_get_region_info",
  upstream: "searched, none found; user space has come to expect it: https://github.com/rust-vmm/vfio/pull/50",
  evidence: "vga-region-refused",
  apply(k, fired) {
    const right = k.vfioPci.vgaRegion;
    k.vfioPci = {
      ...k.vfioPci,
      vgaRegion(kernel, pciFunction) {
        if (pciFunction.spec.vga) return right(kernel, pciFunction);
        fired();
        return refuse(rule["VFIO-DEV-REGION-3"]);
      },
    };
  },
};
