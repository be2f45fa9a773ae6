/** Goals by how a call ended. */
import { handleKind } from "../../model/handles.ts";
import type { Clause } from "../../model/kernel/clause.ts";
import { ERRNO } from "../../model/uapi/errno.ts";
import type { Goal } from "../coverage.ts";
import { MDEV, type Needs } from "./needs.ts";

/** An ioctl that ended like this: 0 for success, or an errno's name. */
export function ioctlEnded(
  id: string,
  title: string,
  request: string,
  ending: 0 | keyof typeof ERRNO,
  needs: Needs = {},
): Goal {
  const code = ending === 0 ? 0 : -ERRNO[ending];
  return {
    id,
    title,
    needs,
    reached: (call, { ret }) =>
      call.op === "ioctl" && call.request === request && (ending === 0 ? ret >= 0 : ret === code),
  };
}

/** An ioctl that another process than the program made, and that succeeded. */
export function ioctlByOther(id: string, title: string, request: string, needs: Needs = {}): Goal {
  const ended = ioctlEnded(id, title, request, 0, needs);
  return { ...ended, reached: (call, seen) => call.by !== undefined && ended.reached(call, seen) };
}

/** A clause that was seen to be kept, where calls and what they return do not show it. */
export function clauseSeen(id: string, title: string, clause: Clause, needs: Needs = {}): Goal {
  return { id, title, needs, clause, reached: () => false };
}

/** A read or write of a kind of file that ended like this. */
export function moved(
  id: string,
  title: string,
  ops: readonly string[],
  kind: string,
  ended: (ret: number) => boolean,
  needs: Needs = MDEV,
): Goal {
  return {
    id,
    title,
    needs,
    reached: (call, { ret }) =>
      ops.includes(call.op) &&
      "fd" in call &&
      typeof call.fd === "string" &&
      handleKind(call.fd) === kind &&
      ended(ret),
  };
}

/** Some bytes, or an address. */
export const some = (ret: number): boolean => ret > 0;
