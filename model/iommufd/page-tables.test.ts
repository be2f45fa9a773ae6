/** The order of checks where page tables are asked for and read, and what a log of writes holds. */
import { expect, it } from "vitest";
import { Machine } from "../machine.ts";
import { PROFILES, type Profile } from "../profile.ts";
import type { Fields } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import { errnoName } from "../uapi/errno.ts";
import { DirtyLog } from "./dirty-log.ts";

/** A function that is bound to an iommufd with one IOAS. */
function bench(version: "6.12" | "7.2" = "7.2") {
  const profile: Profile = PROFILES[version] ?? { version, kconfig: new Set() };
  const machine = new Machine({ topology: REFERENCE_TOPOLOGY, profile });
  machine.step({ op: "open", node: { kind: "iommufd" }, as: "@iommufd" });
  machine.step({ op: "open", node: { kind: "cdev", device: "edu0" }, as: "@device" });
  const call = (fd: string, request: string, fields: Fields, binds: Readonly<Record<string, string>> = {}): string => {
    const { ret } = machine.step({ op: "ioctl", fd, request, arg: { kind: "struct", struct: { fields } }, binds });
    return ret < 0 ? errnoName(-ret) : String(ret);
  };
  call("@device", "VFIO_DEVICE_BIND_IOMMUFD", { argsz: 16, iommufd: "@iommufd" }, { out_devid: "@devid" });
  call("@iommufd", "IOMMU_IOAS_ALLOC", { size: 12 }, { out_ioas_id: "@ioas" });
  const alloc = (fields: Fields, size = 48): string =>
    call("@iommufd", "IOMMU_HWPT_ALLOC", { size, ...fields }, { out_hwpt_id: "@table" });
  return { call, alloc };
}

it("looks at the struct first, then at the device, then at what the page table is to be made from", () => {
  const { alloc } = bench();
  const wrong = { flags: 1 << 31, dev_id: 77, pt_id: 77, data_type: 1, __reserved: 1 };
  expect(alloc(wrong)).toBe("EOPNOTSUPP");
  expect(alloc({ ...wrong, __reserved: 0 })).toBe("EINVAL");
  expect(alloc({ ...wrong, __reserved: 0, data_type: 0 })).toBe("ENOENT");
  expect(alloc({ flags: 1 << 31, dev_id: "@devid", pt_id: "@devid" })).toBe("EINVAL");
  expect(alloc({ flags: 1 << 31, dev_id: "@devid", pt_id: "@ioas" })).toBe("EOPNOTSUPP");
  expect(alloc({ dev_id: "@devid", pt_id: "@ioas" })).toBe("0");
});

it("takes what the caller's size leaves out for zero", () => {
  const { alloc } = bench();
  const fields = { dev_id: "@devid", pt_id: "@ioas", data_type: 1 };
  expect(alloc(fields, 28)).toBe("EINVAL");
  expect(alloc(fields, 24)).toBe("0");
});

it("has fault queues for page tables of an IOAS since 6.13", () => {
  const fields = { flags: 4, dev_id: "@devid", pt_id: "@ioas", fault_id: 77 };
  expect(bench("6.12").alloc(fields)).toBe("EOPNOTSUPP");
  expect(bench("7.2").alloc(fields)).toBe("ENOENT");
});

it("looks at a bitmap's range before it looks whether anything can be told", () => {
  const { call, alloc } = bench();
  alloc({ dev_id: "@devid", pt_id: "@ioas" });
  const read = (fields: Fields): string =>
    call("@iommufd", "IOMMU_HWPT_GET_DIRTY_BITMAP", { size: 48, hwpt_id: "@table", page_size: 4096, ...fields });
  expect(read({ iova: 4096, length: 0 })).toBe("EOVERFLOW");
  expect(read({ iova: 1, length: 4096 })).toBe("EINVAL");
  expect(read({ iova: 0, length: 4096, page_size: 8192 })).toBe("EINVAL");
  expect(read({ iova: 0, length: 4096 })).toBe("EOPNOTSUPP");
});

it("remembers writes by the smallest page", () => {
  const log = new DirtyLog(2048n);
  log.mark(5000n);
  log.mark(4096n);
  log.mark(2047n);
  expect(log.within(0n, 8191n)).toEqual([0n, 4096n]);
  log.clean(4096n, 8191n);
  expect(log.within(0n, 8191n)).toEqual([0n]);
});
