/** Features of vfio-pci. Beside drivers/vfio/pci/vfio_pci_core.c and vfio_pci_dmabuf.c. */
import { clauses, must } from "../kernel/clause.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import { field } from "../uapi/layout.ts";
import { PCI_REGION } from "../vfio/device-info.ts";
import {
  FEATURE,
  FEATURE_HEADER,
  FEATURE_INDEX,
  type Feature,
  featureIoctl,
  rule as featureRule,
} from "../vfio/feature.ts";
import { lowPowerFeatures } from "./low-power.ts";
import { functionOf } from "./pci-device.ts";
import { vfToken } from "./vf-token.ts";

const dmabuf = {
  since: "6.19",
  kconfig: ["VFIO_PCI_DMABUF"],
  source: "drivers/vfio/pci/vfio_pci_dmabuf.c:vfio_pci_core_feature_dma_buf",
} as const;

export const rule = clauses({
  "VFIO-PCI-DMABUF-1": { ...dmabuf, rule: "the data must be readable", errno: "EFAULT" },
  "VFIO-PCI-DMABUF-2": { ...dmabuf, rule: "there must be a range, and no flag", errno: "EINVAL" },
  "VFIO-PCI-DMABUF-3": { ...dmabuf, rule: "the region must be a BAR that the function has", errno: "ENODEV" },
});

const { GET, SET } = FEATURE;
featureIoctl("BUS_MASTER", SET, { op: field.value32(1, 0, 2) }, { since: "6.7" });
featureIoctl(
  "DMA_BUF",
  GET,
  {
    region_index: field.value32(6, 0, 1, 2, 5, 7, 0xffff_ffff),
    open_flags: field.value32(2, 0),
    dma_buf_flags: field.value32(0, 1),
    nr_ranges: field.value32(1, 0),
    offset: field.value64(0),
    length: field.length(),
  },
  { since: "6.19" },
);

const DMA_BUF_SIZE = 16;

/** vfio_pci_core_feature_dma_buf, as far as it refuses. */
const dmaBuf: Feature = {
  index: FEATURE_INDEX.DMA_BUF,
  since: "6.19",
  *run(k, request): Operation<number> {
    must(k.has("VFIO_PCI_DMABUF"), featureRule["VFIO-FEATURE-5"]);
    if (!k.feature.check(k, request, GET, DMA_BUF_SIZE)) return 0;
    const { block } = request;
    block.copyFrom(FEATURE_HEADER + DMA_BUF_SIZE, rule["VFIO-PCI-DMABUF-1"], FEATURE_HEADER);
    const [region, , flags, ranges] = [0, 4, 8, 12].map((offset) => block.u32(FEATURE_HEADER + offset));
    must(ranges !== 0 && flags === 0, rule["VFIO-PCI-DMABUF-2"]);
    const { bars } = functionOf(request.device).spec;
    must(region !== undefined && region < PCI_REGION.ROM && bars[region] !== null, rule["VFIO-PCI-DMABUF-3"]);
    throw new Unmodelled("a DMA buffer of a BAR");
  },
};

export const vfioPciFeatures: readonly Feature[] = [vfToken, ...lowPowerFeatures, dmaBuf];
