/** Ioctls as calls of a program: with a struct, or with a number. */
import type { Call, Fields, Place, Value } from "./program.ts";

/** Where a struct lies, and handles for what its fields bring. */
export interface Around {
  readonly place?: Place;
  readonly binds?: Readonly<Record<string, string>>;
}

/** An ioctl with a struct. */
export function ioctl(fd: Value, request: string, fields: Fields, { place, binds }: Around = {}): Call {
  const struct = place === undefined ? { fields } : { fields, place };
  const call = { op: "ioctl", fd, request, arg: { kind: "struct", struct } } as const;
  return binds ? { ...call, binds } : call;
}

/** An ioctl whose argument is a number, or is not looked at. */
export function ioctlValue(fd: Value, request: string, value = 0): Call {
  return { op: "ioctl", fd, request, arg: { kind: "value", value } };
}
