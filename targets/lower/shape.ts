/** What comes back of a call, so that it can be read, and what is too large to be lowered. */
import type { AccessWidth } from "../../model/program.ts";

/** A program that no target can run, with the reason in one sentence. */
export class TooLarge extends Error {
  override readonly name = "TooLarge";
}

/** What the output of one call consists of, so that it can be read back. */
export type Shape =
  | { readonly kind: "plain" }
  /** a struct or a buffer of so many bytes follows the result, then what it points to */
  | { readonly kind: "struct"; readonly length: number; readonly pointed: readonly number[] }
  /** opened, then written: the open's errno or the write's result */
  | { readonly kind: "sysfs-write" }
  /** the signal, then what was loaded */
  | { readonly kind: "load"; readonly width: AccessWidth }
  /** the signal */
  | { readonly kind: "store" }
  /** opened and mapped, then stores, each of which may be waited for: the first that failed, by an errno or a signal */
  | { readonly kind: "stores"; readonly waited: readonly boolean[] }
  /** opened, then read into a buffer that follows */
  | { readonly kind: "sysfs-read" }
  | { readonly kind: "readlink" }
  | { readonly kind: "list" }
  | { readonly kind: "vms" }
  /** the result of waiting, then whether the task is not done yet */
  | { readonly kind: "started" }
  /** the result of waiting follows */
  | { readonly kind: "waited"; readonly of: Shape }
  /** a number in /proc/self/status, in KiB */
  | { readonly kind: "status"; readonly line: RegExp }
  | { readonly kind: "tainted" }
  /** waited, then read whether it says `suspended` */
  | { readonly kind: "asleep" }
  /** a struct pollfd follows, of which revents counts */
  | { readonly kind: "poll" }
  /** the results of so many calls that make the file what it is to be follow, unless it was refused */
  | { readonly kind: "memfd"; readonly steps: number }
  /** a path was completed with a number first: results of that come before */
  | { readonly kind: "found-group" };

/** Bytes read of a sysfs attribute or link. */
export const READ_SIZE = 512;

/** Bytes read of /proc/self/status. */
export const STATUS_SIZE = 2048;
