/** Goals about mediated devices: how they are made and removed. */
import type { Attribute } from "../../model/program.ts";
import { ERRNO } from "../../model/uapi/errno.ts";
import type { Goal } from "../coverage.ts";
import { MDEV } from "./needs.ts";

export const mdevCreated: Goal = {
  id: "mdev-create",
  title: "a mediated device was made",
  needs: MDEV,
  reached: (call, { ret }) => call.op === "sysfs-write" && call.attribute.kind === "mdev-create" && ret > 0,
};
export const mdevRemoved: Goal = {
  id: "mdev-remove",
  title: "a mediated device was removed",
  needs: MDEV,
  reached: (call, { ret }) =>
    call.op === "sysfs-write" &&
    call.attribute.kind === "mdev-remove" &&
    ret > 0 &&
    "text" in call.text &&
    call.text.text === "1",
};

/** A write about mediated devices that ended like this: 0 for success, or an errno's names. */
function mdevWrite(
  id: string,
  title: string,
  about: (attribute: Attribute) => boolean,
  ...endings: readonly (keyof typeof ERRNO)[]
): Goal {
  const codes = endings.map((name) => -ERRNO[name]);
  return {
    id,
    title,
    needs: MDEV,
    reached: (call, { ret }) =>
      call.op === "sysfs-write" && about(call.attribute) && (codes.length > 0 ? codes.includes(ret) : ret > 0),
  };
}

const makes = ({ kind }: Attribute): boolean => kind === "mdev-create";

export const mdevDuplicate = mdevWrite("mdev-duplicate", "a UUID was refused a second device", makes, "EEXIST");
export const mdevFull = mdevWrite("mdev-full", "a parent had no room for another device", makes, "ENOSPC", "EUSERS");
export const mdevUnbound = mdevWrite(
  "mdev-unbind",
  "a mediated device lost its driver",
  (attribute) => attribute.kind === "mdev-driver" && attribute.file === "unbind",
);
export const mdevNotBound = mdevWrite(
  "mdev-bind",
  "a mediated device could not be bound by its name",
  (attribute) => attribute.kind === "mdev-driver" && attribute.file === "bind",
  "ENODEV",
);
