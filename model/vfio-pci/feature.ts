/** Features of vfio-pci. Beside drivers/vfio/pci/vfio_pci_core.c and vfio_pci_dmabuf.c. */
import { eventfdOf } from "../eventfd.ts";
import { clauses, must, refuse } from "../kernel/clause.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import { locksOf } from "../pci/locks.ts";
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
import { functionOf } from "./pci-device.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_core.c:${name}`;
const dmabuf = {
  since: "6.19",
  kconfig: ["VFIO_PCI_DMABUF"],
  source: "drivers/vfio/pci/vfio_pci_dmabuf.c:vfio_pci_core_feature_dma_buf",
} as const;

export const rule = clauses({
  "VFIO-PCI-TOKEN-1": {
    rule: "only a physical function that has virtual ones has a token",
    errno: "ENOTTY",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_FEATURE_PCI_VF_TOKEN",
  },
  "VFIO-PCI-POWER-1": {
    rule: "a function that was allowed low power must be forbidden it before it is allowed it again",
    errno: "EINVAL",
    source: source("vfio_pci_runtime_pm_entry"),
  },
  "VFIO-PCI-POWER-2": {
    rule: "the function may go to low power from now on",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY",
    observable: "later-call",
  },
  "VFIO-PCI-POWER-3": {
    rule: "low power can be forbidden, whether or not it was allowed",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_FEATURE_LOW_POWER_EXIT",
    observable: "later-call",
  },
  "VFIO-PCI-WAKEUP-1": {
    rule: "the data must be readable",
    errno: "EFAULT",
    source: source("vfio_pci_core_pm_entry_with_wakeup"),
  },
  "VFIO-PCI-WAKEUP-2": {
    rule: "wakeup_eventfd must not be negative",
    errno: "EINVAL",
    source: source("vfio_pci_core_pm_entry_with_wakeup"),
  },
  "VFIO-PCI-WAKEUP-3": {
    rule: "wakeup_eventfd must be an open descriptor",
    errno: "EBADF",
    source: "fs/eventfd.c:eventfd_ctx_fdget",
  },
  "VFIO-PCI-WAKEUP-4": {
    rule: "wakeup_eventfd must be an eventfd",
    errno: "EINVAL",
    source: "fs/eventfd.c:eventfd_ctx_fdget",
  },
  "VFIO-PCI-DMABUF-1": { ...dmabuf, rule: "the data must be readable", errno: "EFAULT" },
  "VFIO-PCI-DMABUF-2": { ...dmabuf, rule: "there must be a range, and no flag", errno: "EINVAL" },
  "VFIO-PCI-DMABUF-3": { ...dmabuf, rule: "the region must be a BAR that the function has", errno: "ENODEV" },
});

const { GET, SET } = FEATURE;
featureIoctl("PCI_VF_TOKEN", SET, { low: field.value64(0x1122_3344_5566_7788n, 0), high: field.value64(1, 0) });
featureIoctl("LOW_POWER_ENTRY", SET, {});
featureIoctl("LOW_POWER_ENTRY_WITH_WAKEUP", SET, { wakeup_eventfd: field.fd("eventfd"), reserved: field.reserved32() });
featureIoctl("LOW_POWER_EXIT", SET, {});
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

/** vfio_pci_core_feature_token: no function of this model has virtual ones. */
const vfToken: Feature = {
  index: FEATURE_INDEX.PCI_VF_TOKEN,
  *run(): Operation<number> {
    return refuse(rule["VFIO-PCI-TOKEN-1"]);
  },
};

/** vfio_pci_core_pm_entry */
const lowPowerEntry: Feature = {
  index: FEATURE_INDEX.LOW_POWER_ENTRY,
  *run(k, request): Operation<number> {
    if (!k.feature.check(k, request, SET, 0)) return 0;
    const pciFunction = functionOf(request.device);
    using _ = yield* k.lock(locksOf(pciFunction).memory);
    must(!request.device.lowPower, rule["VFIO-PCI-POWER-1"]);
    k.vfioPci.maySleep(functionOf(request.device));
    request.device.lowPower = true;
    k.keeps(rule["VFIO-PCI-POWER-2"]);
    return 0;
  },
};

/** vfio_pci_core_pm_entry_with_wakeup, as far as it refuses: when the function really sleeps, and wakes, is not told. */
const lowPowerEntryWithWakeup: Feature = {
  index: FEATURE_INDEX.LOW_POWER_ENTRY_WITH_WAKEUP,
  *run(k, request): Operation<number> {
    if (!k.feature.check(k, request, SET, 8)) return 0;
    const { block } = request;
    block.copyFrom(FEATURE_HEADER + 8, rule["VFIO-PCI-WAKEUP-1"], FEATURE_HEADER);
    const fd = block.s32(FEATURE_HEADER);
    must(fd >= 0, rule["VFIO-PCI-WAKEUP-2"]);
    eventfdOf(k, fd, rule["VFIO-PCI-WAKEUP-3"], rule["VFIO-PCI-WAKEUP-4"]);
    using _ = yield* k.lock(locksOf(functionOf(request.device)).memory);
    must(!request.device.lowPower, rule["VFIO-PCI-POWER-1"]);
    throw new Unmodelled("a function that wakes up");
  },
};

/** vfio_pci_core_pm_exit */
const lowPowerExit: Feature = {
  index: FEATURE_INDEX.LOW_POWER_EXIT,
  *run(k, request): Operation<number> {
    if (!k.feature.check(k, request, SET, 0)) return 0;
    using _ = yield* k.lock(locksOf(functionOf(request.device)).memory);
    request.device.lowPower = false;
    k.keeps(rule["VFIO-PCI-POWER-3"]);
    return 0;
  },
};

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

export const vfioPciFeatures: readonly Feature[] = [
  vfToken,
  lowPowerEntry,
  lowPowerEntryWithWakeup,
  lowPowerExit,
  dmaBuf,
];
