/** Goals about memory in files, and buffers that drivers share. */
import { handleKind } from "../../model/handles.ts";
import { ERRNO } from "../../model/uapi/errno.ts";
import type { Goal } from "../coverage.ts";
import { ioctlEnded, moved, some } from "./ended.ts";
import { MOCK } from "./needs.ts";

export const fileRead = moved("memfd-read", "memory in a file was read", ["read", "pread"], "memfd", some, {});
export const fileWritten = moved("memfd-write", "memory in a file was written", ["write", "pwrite"], "memfd", some, {});

const BUFFERS = { ...MOCK, since: "6.19" } as const;

/** A buffer that was to be mapped, with that result. */
const mapping = (id: string, title: string, ended: (ret: number) => boolean): Goal => ({
  id,
  title,
  needs: BUFFERS,
  reached: (call, { ret }) => {
    if (call.op !== "ioctl" || call.request !== "IOMMU_IOAS_MAP_FILE" || call.arg.kind !== "struct") return false;
    const { fd } = call.arg.struct.fields;
    return typeof fd === "string" && handleKind(fd) === "dma-buf" && ended(ret);
  },
});

export const bufferMapped = mapping("dma-buf-map", "a dma-buf was mapped into an IOAS", (ret) => ret === 0);
export const bufferGone = mapping(
  "dma-buf-gone",
  "a dma-buf that was taken back could not be mapped",
  (ret) => ret === -ERRNO.ENODEV,
);
export const bufferRevoked = ioctlEnded(
  "dma-buf-revoke",
  "a dma-buf was taken back",
  "IOMMU_TEST_OP_DMABUF_REVOKE",
  0,
  BUFFERS,
);
