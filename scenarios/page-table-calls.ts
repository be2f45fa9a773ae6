/** Calls about page tables and fault queues of an iommufd, as scenarios write them. */
import type { Call, Fields, Place, Value } from "../model/program.ts";
import { U64_MAX } from "../model/uapi/u64.ts";
import { ioctl } from "./calls.ts";

const at = (place?: Place) => (place === undefined ? {} : { place });

export const NEST_PARENT = 1;
export const DIRTY_TRACKING = 2;
export const FAULT_ID_VALID = 4;
export const PASID = 8;

/** Asks for a page table of an IOAS, or one that is nested in another. */
export const allocHwpt = (device: Value, pt: Value, fields: Fields = {}, hwpt = "@table", place?: Place): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_HWPT_ALLOC",
    { size: 48, dev_id: device, pt_id: pt, ...fields },
    { binds: { out_hwpt_id: hwpt }, ...at(place) },
  );
/** The same, for no page table to come of it. */
export const refusedHwpt = (device: Value, pt: Value, fields: Fields = {}): Call =>
  ioctl("@iommufd", "IOMMU_HWPT_ALLOC", { size: 48, dev_id: device, pt_id: pt, ...fields });

/** Makes `@fault` with its file `@fault-queue`, or `@fault1` with `@fault-queue1`. */
export const allocFaultQueue = (queue = "@fault", place?: Place): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_FAULT_QUEUE_ALLOC",
    { size: 16 },
    { binds: { out_fault_id: queue, out_fault_fd: `@fault-queue${queue.slice("@fault".length)}` }, ...at(place) },
  );

/** Asks for a device's information, with a buffer of so many bytes that are not zero. */
export const hwInfo = (device: Value, length: number, place?: Place): Call =>
  ioctl("@iommufd", "IOMMU_GET_HW_INFO", {
    size: 40,
    dev_id: device,
    data_len: length,
    data_uptr: { fields: { data_0: U64_MAX, data_3: U64_MAX, data_4: U64_MAX }, ...at(place) },
  });

/** Switches tracking on (1) or off (0). */
export const track = (hwpt: Value, flags: number): Call =>
  ioctl("@iommufd", "IOMMU_HWPT_SET_DIRTY_TRACKING", { size: 16, flags, hwpt_id: hwpt });

/** Asks what was written, a bit for every page, unless fields say otherwise. */
export const bitmap = (hwpt: Value, fields: Fields): Call =>
  ioctl("@iommufd", "IOMMU_HWPT_GET_DIRTY_BITMAP", {
    size: 48,
    hwpt_id: hwpt,
    length: 4096,
    page_size: 4096,
    data: { fields: {} },
    ...fields,
  });

/** Invalidates what fields say, of the type that Intel's IOMMU knows, unless they say otherwise. */
export const invalidate = (hwpt: Value, fields: Fields = {}, place?: Place): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_HWPT_INVALIDATE",
    { size: 32, hwpt_id: hwpt, data_uptr: { fields: {} }, data_type: 1, entry_len: 8, entry_num: 1, ...fields },
    at(place),
  );
