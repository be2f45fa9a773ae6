/** VFIO_DEVICE_QUERY_GFX_PLANE: what a display shows, and where. Beside include/uapi/linux/vfio.h. */
import { clauses, must } from "../kernel/clause.ts";
import { type Ioctl, ioctl } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { field, fieldOf, layout, offsetOfEnd } from "../uapi/layout.ts";
import type { DeviceFile } from "./device.ts";
import { DEVICE_REQUEST } from "./device-info.ts";

const source = "include/uapi/linux/vfio.h:VFIO_DEVICE_QUERY_GFX_PLANE";

export const rule = clauses({
  "VFIO-DEV-PLANE-1": { rule: "the struct must be readable up to region_index", errno: "EFAULT", source },
  "VFIO-DEV-PLANE-2": { rule: "argsz must cover region_index", errno: "EINVAL", source },
  "VFIO-DEV-PLANE-3": {
    rule: "flags ask for a region, or whether there is one; a display that shows its picture so knows no other",
    errno: "EINVAL",
    source,
  },
  "VFIO-DEV-PLANE-4": { rule: "the struct must be writable", errno: "EFAULT", source },
  "VFIO-DEV-PLANE-5": {
    rule: "format, size and region of the picture come back; where it is only asked whether there is one, nothing changes",
    source,
    observable: "output",
  },
});

const FLAG = { PROBE: 1, DMABUF: 2, REGION: 4 } as const;

const GfxPlaneInfo = layout("vfio_device_gfx_plane_info", {
  argsz: field.argsz(),
  flags: field.value32(FLAG.REGION, FLAG.PROBE | FLAG.REGION, FLAG.DMABUF, FLAG.PROBE | FLAG.DMABUF, 0, FLAG.PROBE),
  drm_plane_type: field.value32(1, 0, 2),
  drm_format: field.out32(),
  drm_format_mod: field.out64(),
  width: field.out32(),
  height: field.out32(),
  stride: field.out32(),
  size: field.out32(),
  x_pos: field.out32(),
  y_pos: field.out32(),
  x_hot: field.out32(),
  y_hot: field.out32(),
  region_index: field.out32(),
  reserved: field.later(field.out32()),
});
const MINSZ = offsetOfEnd(GfxPlaneInfo, "region_index");
/** Fields that are set to 0, from the first of them to the last. */
const POSITION = { from: fieldOf(GfxPlaneInfo, "x_pos").offset, to: offsetOfEnd(GfxPlaneInfo, "y_hot") };

export const queryGfxPlane: Ioctl<DeviceFile> = ioctl<DeviceFile>({
  name: "VFIO_DEVICE_QUERY_GFX_PLANE",
  request: DEVICE_REQUEST.QUERY_GFX_PLANE,
  argument: { kind: "struct", layout: GfxPlaneInfo },
  on: ["device"],
  weight: 0.1,
  useful: (_k, { accessGranted, device }) => accessGranted && device.ops.name === "mdpy",
  run: (k, file, arg) => file.device.ops.ioctl(k, file, queryGfxPlane, arg),
});

/** A picture that lies in a region; bytes, pixels. */
export interface Plane {
  readonly format: number;
  readonly width: number;
  readonly height: number;
  readonly stride: number;
  readonly size: number;
  readonly region: number;
}

/** Answers for a driver that shows its picture in a region. */
export function answerGfxPlane(k: Kernel, block: UserBlock, plane: Plane): void {
  block.copyFrom(MINSZ, rule["VFIO-DEV-PLANE-1"]);
  must(block.u32(0) >= MINSZ, rule["VFIO-DEV-PLANE-2"]);
  const flags = block.u32(4);
  must(flags === FLAG.REGION || flags === (FLAG.PROBE | FLAG.REGION), rule["VFIO-DEV-PLANE-3"]);
  const image = block.bytes.slice(0, MINSZ);
  if (flags === FLAG.REGION) {
    const view = new DataView(image.buffer);
    const put = (name: string, value: number): void => view.setUint32(fieldOf(GfxPlaneInfo, name).offset, value, true);
    put("drm_format", plane.format);
    view.setBigUint64(fieldOf(GfxPlaneInfo, "drm_format_mod").offset, 0n, true);
    put("width", plane.width);
    put("height", plane.height);
    put("stride", plane.stride);
    put("size", plane.size);
    image.fill(0, POSITION.from, POSITION.to);
    put("region_index", plane.region);
  }
  block.copyTo(image, 0, MINSZ, rule["VFIO-DEV-PLANE-4"]);
  k.keeps(rule["VFIO-DEV-PLANE-5"]);
}
