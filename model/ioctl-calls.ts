/** Ioctls as calls of a program: with a struct, or with a number. */
import type { Call, Fields, Place, Value } from "./program.ts";

/** Where a struct lies, and handles for the descriptor that comes back, and for what its fields bring. */
export interface Around {
  readonly place?: Place;
  readonly as?: string;
  readonly binds?: Readonly<Record<string, string>>;
}

/** An ioctl with a struct. */
export function ioctl(fd: Value, request: string, fields: Fields, { place, as, binds }: Around = {}): Call {
  const struct = place === undefined ? { fields } : { fields, place };
  const arg = { kind: "struct", struct } as const;
  const call = { op: "ioctl", fd, request, arg, ...(as === undefined ? {} : { as }) } as const;
  return binds ? { ...call, binds } : call;
}

/** An ioctl whose argument is a number, or is not looked at. */
export function ioctlValue(fd: Value, request: string, value = 0): Call {
  return { op: "ioctl", fd, request, arg: { kind: "value", value } };
}
