/** VFIO_MIG_GET_PRECOPY_INFO, a command of migration data files. Beside include/linux/vfio.h:vfio_check_precopy_ioctl. */
import { clauses, must } from "../kernel/clause.ts";
import { type Ioctl, ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { field, layout, writeValue } from "../uapi/layout.ts";

const header = "include/uapi/linux/vfio.h:VFIO_MIG_GET_PRECOPY_INFO";

export const rule = clauses({
  "VFIO-MIG-PRECOPY-1": { rule: "the struct must be readable", errno: "EFAULT", source: header, since: "6.7" },
  "VFIO-MIG-PRECOPY-2": { rule: "argsz must cover dirty_bytes", errno: "EINVAL", source: header, since: "6.7" },
  "VFIO-MIG-PRECOPY-3": {
    rule: "the device must be in PRE_COPY or PRE_COPY_P2P",
    errno: "EINVAL",
    source: header,
    since: "6.7",
  },
  "VFIO-MIG-PRECOPY-4": { rule: "the struct must be writable", errno: "EFAULT", source: header, since: "6.7" },
  "VFIO-MIG-PRECOPY-5": {
    rule: "initial_bytes brings what is left to be read of the first data, dirty_bytes what has changed since; flags stay as they were given, unless the caller asked for their second form",
    source: header,
    since: "6.7",
    observable: "output",
  },
});

const PrecopyInfo = layout("vfio_precopy_info", {
  argsz: field.argsz(),
  flags: field.out32(),
  initial_bytes: field.out64(),
  dirty_bytes: field.out64(),
});

/** On files of other kinds it is one of the unknown commands; data files answer it themselves. */
export const getPrecopyInfo: Ioctl = ioctl({
  name: "VFIO_MIG_GET_PRECOPY_INFO",
  request: vfioRequest(121),
  argument: { kind: "struct", layout: PrecopyInfo },
  on: ["migration"],
  since: "6.2",
  weight: 2,
  run: (k, file, arg) => file.ioctl(k, getPrecopyInfo, arg),
});

/** vfio_check_precopy_ioctl */
export function checkPrecopyInfo(block: UserBlock): void {
  block.copyFrom(PrecopyInfo.size, rule["VFIO-MIG-PRECOPY-1"]);
  must(block.u32(0) >= PrecopyInfo.size, rule["VFIO-MIG-PRECOPY-2"]);
}

/** Stores the answer; bytes. */
export function putPrecopyInfo(block: UserBlock, flagsAreOutput: boolean, initial: number, dirty: number): void {
  const image = block.bytes.slice(0, PrecopyInfo.size);
  const view = new DataView(image.buffer);
  if (flagsAreOutput) view.setUint32(4, 0, true);
  writeValue(view, 8, 8, initial);
  writeValue(view, 16, 8, dirty);
  block.copyTo(image, 0, PrecopyInfo.size, rule["VFIO-MIG-PRECOPY-4"]);
}
