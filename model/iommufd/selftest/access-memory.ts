/** The op that reads and writes through an access, and where it has its data from. Beside drivers/iommu/iommufd/selftest.c. */
import { clauses, must } from "../../kernel/clause.ts";
import type { Argument } from "../../kernel/ioctl.ts";
import type { Operation } from "../../kernel/operation.ts";
import { arrayOf, field, layout } from "../../uapi/layout.ts";
import { SELFTEST, selftestSource, testOp } from "./command.ts";

const source = selftestSource("iommufd_test_access_rw");

export const rule = clauses({
  "IOMMUFD-STRW-1": {
    ...SELFTEST,
    source,
    rule: "no more than 16 MiB can be read or written at once",
    errno: "ENOMEM",
  },
  "IOMMUFD-STRW-2": { ...SELFTEST, source, rule: "unknown flags are refused", errno: "EOPNOTSUPP" },
  "IOMMUFD-STRW-3": {
    ...SELFTEST,
    source,
    rule: "what is to be written must be readable; it is looked at before the range",
    errno: "EFAULT",
  },
  "IOMMUFD-STRW-4": {
    ...SELFTEST,
    source,
    rule: "there must be room for what was read",
    errno: "EFAULT",
    partial: true,
  },
});

/** MOCK_ACCESS_RW_WRITE, MOCK_ACCESS_RW_SLOW_PATH, and MOCK_FLAGS_ACCESS_SYZ */
const WRITE = 1;
const SLOW_PATH = 4;
const NTH_MAPPING = 1 << 16;
const MOST = 16n << 20n;

/** What programs move mostly; more of it comes from their own memory and goes there. */
const Data = arrayOf(layout("iommu_test_access_data", { word: field.value64(0x1122_3344, 0, 2n ** 63n, 7) }), 4);
export const DATA_SIZE = Data.size;

export const accessRw = testOp("ACCESS_RW", {
  op: 8,
  since: "6.2",
  id: field.fd("access"),
  fields: {
    iova: field.iova(),
    length: field.value64(Data.size, 8, 1, 17, 0),
    uptr: field.pointer(Data),
    flags: field.flags(
      { WRITE, SLOW_PATH, NTH_MAPPING },
      0,
      WRITE,
      0,
      WRITE,
      SLOW_PATH,
      WRITE | SLOW_PATH,
      NTH_MAPPING,
    ),
  },
  useful: (_k, { context }) => context.someAccess(),
  *run(k, _file, { block, at }): Operation<number> {
    const length = block.u64(24);
    const flags = block.u32(40);
    must(length <= MOST, rule["IOMMUFD-STRW-1"]);
    must((flags & ~(WRITE | SLOW_PATH | NTH_MAPPING)) === 0, rule["IOMMUFD-STRW-2"]);
    const file = k.selftest.accessFile(k, block.u32(8));
    k.alloc();
    const uptr = block.u64(32);
    const write = (flags & WRITE) !== 0;
    const bytes = write ? k.selftest.dataFrom(at, uptr, Number(length)) : new Uint8Array(Number(length));
    const iova = k.selftest.place(file, flags, block.u64(16));
    yield* k.iommufdDevice.rwAccess(k, file.access, iova, { bytes, write, slow: (flags & SLOW_PATH) !== 0 });
    if (!write) k.selftest.dataTo(at, uptr, bytes);
    return 0;
  },
});

export const steps = {
  /** copy_from_user of what is to be written, from a struct of the call or from the program's own memory. */
  dataFrom(at: Argument["at"], uptr: bigint, length: number): Uint8Array {
    const block = at(uptr);
    block.copyFrom(length, rule["IOMMUFD-STRW-3"]);
    return block.bytes.slice(0, length);
  },

  /** copy_to_user of what was read. */
  dataTo(at: Argument["at"], uptr: bigint, bytes: Uint8Array): void {
    at(uptr).copyTo(bytes, 0, bytes.length, rule["IOMMUFD-STRW-4"]);
  },
};
