/** Buffers of functions' memory: who may have them when, and what their ranges are read from. */
import type { PciFunction } from "../../model/pci/function.ts";
import { locksOf } from "../../model/pci/locks.ts";
import type { Deviation } from "./deviation.ts";

const source = (name: string) => `drivers/vfio/pci/${name}`;
const NONE_KNOWN = "none known; sources of 7.2.12 have it";

export const bufferRangesPastArgsz: Deviation = {
  id: "buffer-ranges-past-argsz",
  title:
    "VFIO_DEVICE_FEATURE_DMA_BUF reads as many ranges as nr_ranges says, also where argsz ends before them: what lies behind the struct is taken for ranges",
  clause: "VFIO-PCI-DMABUF-4",
  since: "6.19",
  source: source("vfio_pci_dmabuf.c:vfio_pci_core_feature_dma_buf"),
  upstream: NONE_KNOWN,
  evidence: "buffer-ranges-past-argsz",
  apply(k, fired) {
    const right = k.vfioPci.checkRoom;
    k.vfioPci = {
      ...k.vfioPci,
      checkRoom(count, room) {
        try {
          right(count, room);
        } catch {
          fired();
        }
      },
    };
  },
};

const lendsAny = ({ buffers }: PciFunction): boolean => [...buffers].some(({ revoked }) => !revoked);

export const bufferLentAsleep: Deviation = {
  id: "buffer-lent-asleep",
  title:
    "a function that was allowed low power lends its buffers again as soon as its command register or power state is written or it is reset, and those that are made from then on; a second LOW_POWER_ENTRY, which is refused, takes them back",
  clause: "VFIO-PCI-DMABUF-16",
  since: "6.19",
  source: source("vfio_pci_config.c:__vfio_pci_memory_enabled"),
  upstream: NONE_KNOWN,
  evidence: "buffer-lent-asleep",
  apply(k, fired) {
    const { mayLend, allowLowPower } = k.vfioPci;
    k.vfioPci = {
      ...k.vfioPci,
      mayLend(kernel, pciFunction) {
        const own = kernel.vfioPci.memoryEnabled(pciFunction);
        if (own !== mayLend(kernel, pciFunction)) fired();
        return own;
      },
      *allowLowPower(kernel, pciFunction, wakeup) {
        if (pciFunction.power.engaged && lendsAny(pciFunction)) {
          fired();
          using _ = yield* kernel.lock(locksOf(pciFunction).memory);
          yield* kernel.vfioPci.takeBuffersBack(kernel, pciFunction);
        }
        yield* allowLowPower(kernel, pciFunction, wakeup);
      },
    };
  },
};

export const bufferKeptAfterWakeup: Deviation = {
  id: "buffer-kept-after-wakeup",
  title:
    "a function that woke up and told so by its eventfd, which ends low power, does not lend its buffers again before LOW_POWER_EXIT or a write of its command register",
  clause: "VFIO-PCI-DMABUF-13",
  since: "6.19",
  source: source("vfio_pci_core.c:vfio_pci_core_runtime_resume"),
  upstream: NONE_KNOWN,
  evidence: "buffer-kept-after-wakeup",
  apply(k, fired) {
    k.vfioPci = {
      ...k.vfioPci,
      returnWoken(kernel, pciFunction) {
        if (pciFunction.buffers.size > 0 && kernel.vfioPci.mayLend(kernel, pciFunction)) fired();
      },
    };
  },
};
