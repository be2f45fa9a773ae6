/** Ops that make a buffer as drivers share them, and take it back. Beside drivers/iommu/iommufd/selftest.c. */
import { DmaBufFile } from "../../dma-buf.ts";
import { clauses, must } from "../../kernel/clause.ts";
import type { Operation } from "../../kernel/operation.ts";
import { field } from "../../uapi/layout.ts";
import { PAGE_SIZE } from "../io-pagetable.ts";
import { SELFTEST, selftestSource, testOp } from "./command.ts";

const BUFFER = { ...SELFTEST, since: "6.19" } as const;

export const rule = clauses({
  "IOMMUFD-STDMABUF-1": {
    ...BUFFER,
    rule: "a buffer has a page at the least, and 512 at the most",
    errno: "EINVAL",
    source: selftestSource("iommufd_test_dmabuf_get"),
  },
  "IOMMUFD-STDMABUF-2": {
    ...BUFFER,
    rule: "a buffer comes as a descriptor, of whole pages, and can be used as its flags say",
    source: selftestSource("iommufd_test_dmabuf_get"),
  },
  "IOMMUFD-STDMABUF-3": {
    ...BUFFER,
    rule: "dmabuf_fd must be an open descriptor",
    errno: "EBADF",
    source: "drivers/dma-buf/dma-buf.c:dma_buf_get",
  },
  "IOMMUFD-STDMABUF-4": {
    ...BUFFER,
    rule: "dmabuf_fd must be a buffer",
    errno: "EINVAL",
    source: "drivers/dma-buf/dma-buf.c:dma_buf_get",
  },
  "IOMMUFD-STDMABUF-6": {
    since: "6.19",
    kconfig: ["IOMMUFD", "IOMMUFD_TEST", "VFIO_PCI_DMABUF"],
    rule: "a buffer of another driver is not the test's to take back",
    errno: "EOPNOTSUPP",
    source: selftestSource("iommufd_test_dmabuf_revoke"),
  },
  "IOMMUFD-STDMABUF-5": {
    ...BUFFER,
    rule: "whoever has the buffer loses it, also where it is lent again from then on",
    source: selftestSource("iommufd_test_dmabuf_revoke"),
    observable: "later-call",
  },
});

/** struct iommufd_test_dma_buf */
class TestBufferFile extends DmaBufFile {}

const MOST = 512n * PAGE_SIZE;
const O_ACCMODE = 3;
const O_CLOEXEC = 0o2000000;
const PAGE = Number(PAGE_SIZE);

export const dmabufGet = testOp("DMABUF_GET", {
  op: 22,
  since: "6.19",
  returns: "dma-buf",
  fields: {
    length: field.value32(4 * PAGE, 4 * PAGE, 16 * PAGE, PAGE, 1, PAGE + 1, 2 << 20, (2 << 20) + 1, 0),
    open_flags: field.value32(2 | O_CLOEXEC, 2, 0, 1, O_ACCMODE),
  },
  *run(k, _file, { block }): Operation<number> {
    // The kernel counts bytes with 64 bits, so that none are lost.
    const size = (BigInt(block.u32(16)) + PAGE_SIZE - 1n) & -PAGE_SIZE;
    must(size > 0n && size <= MOST, rule["IOMMUFD-STDMABUF-1"]);
    k.alloc();
    k.keeps(rule["IOMMUFD-STDMABUF-2"]);
    return k.installFd({ at: "return" }, new TestBufferFile(Number(size), block.u32(20) & O_ACCMODE));
  },
});

export const dmabufRevoke = testOp("DMABUF_REVOKE", {
  op: 23,
  since: "6.19",
  fields: { dmabuf_fd: field.fd("dma-buf"), revoked: field.value32(1, 0, 2) },
  useful: (k) => k.fds.files.some((file) => file?.kind === "dma-buf"),
  *run(k, _file, { block }): Operation<number> {
    const file = k.fds.get(block.s32(16));
    must(file !== undefined, rule["IOMMUFD-STDMABUF-3"]);
    must(file instanceof DmaBufFile, rule["IOMMUFD-STDMABUF-4"]);
    must(file instanceof TestBufferFile, rule["IOMMUFD-STDMABUF-6"]);
    using _ = yield* k.lock(file.lock);
    file.revoked = block.u32(20) !== 0;
    yield* k.ioas.takeBack(k, file);
    k.keeps(rule["IOMMUFD-STDMABUF-5"]);
    return 0;
  },
});
