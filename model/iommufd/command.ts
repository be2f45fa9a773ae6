/** The struct of a command as the kernel copies it in. Beside drivers/iommu/iommufd/main.c:iommufd_fops_ioctl. */
import type { UserBlock } from "../kernel/user-memory.ts";

/** The first `size` bytes of the struct. What the caller's own size leaves out counts as zero, whatever lies there. */
export function commandView(block: UserBlock, size: number): DataView {
  const known = block.u32(0);
  if (known >= size) return block.view;
  const bytes = new Uint8Array(size);
  bytes.set(block.bytes.subarray(0, known));
  return new DataView(bytes.buffer);
}

/** Bytes that iommufd_ucmd_respond gives back: no more than the caller knows of. */
export function respondSize(block: UserBlock, size: number): number {
  return Math.min(block.u32(0), size);
}
