/** Goals about buffers of functions' memory. */
import { handleKind } from "../../model/handles.ts";
import { ERRNO } from "../../model/uapi/errno.ts";
import { rule } from "../../model/vfio-pci/dmabuf.ts";
import type { Goal } from "../coverage.ts";
import { clauseSeen, ioctlEnded } from "./ended.ts";

const BUFFERS = { since: "6.19", kconfig: ["VFIO_PCI_DMABUF"] } as const;
const MAPPED = { ...BUFFERS, kconfig: ["VFIO_PCI_DMABUF", "VFIO_DEVICE_CDEV"] } as const;
const FEATURE = "VFIO_DEVICE_FEATURE_DMA_BUF";

/** A buffer that was to be mapped, with that result. */
const mapping = (id: string, title: string, expected: number): Goal => ({
  id,
  title,
  needs: MAPPED,
  reached: (call, { ret }) => {
    if (ret !== expected || call.op !== "ioctl" || call.request !== "IOMMU_IOAS_MAP_FILE") return false;
    if (call.arg.kind !== "struct") return false;
    const { fd } = call.arg.struct.fields;
    return typeof fd === "string" && handleKind(fd) === "dma-buf";
  },
});

export const BUFFER_GOALS: readonly Goal[] = [
  ioctlEnded("bar-buffer", "a buffer was made of a BAR", FEATURE, 0, BUFFERS),
  ioctlEnded("bar-buffer-refused", "a buffer was refused for its ranges", FEATURE, "EINVAL", BUFFERS),
  ioctlEnded("bar-buffer-none", "a buffer was refused of a BAR that there is not", FEATURE, "ENODEV", BUFFERS),
  mapping("bar-buffer-mapped", "a function's buffer was mapped into an IOAS", 0),
  mapping("bar-buffer-scattered", "a buffer in several pieces could not be mapped", -ERRNO.EOPNOTSUPP),
  mapping("bar-buffer-gone", "a buffer that its function does not lend could not be mapped", -ERRNO.ENODEV),
  clauseSeen("bar-buffer-taken", "a buffer was taken back", rule["VFIO-PCI-DMABUF-12"], BUFFERS),
  clauseSeen("bar-buffer-returned", "a buffer was lent again", rule["VFIO-PCI-DMABUF-13"], BUFFERS),
  clauseSeen("bar-buffer-closed", "a function was closed that had buffers", rule["VFIO-PCI-DMABUF-14"], BUFFERS),
];
