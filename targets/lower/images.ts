/** Structs of the kernel's that system calls outside the API are given, as bytes. */
import { capabilityMask } from "../../model/kernel/credentials.ts";
import type { Capability } from "../../model/program.ts";
import { writeValue } from "../../model/uapi/layout.ts";
import { POLL_ALL } from "../../model/uapi/poll.ts";

/** struct rlimit64 */
export function limits(soft: number | bigint, hard: number | bigint): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  writeValue(view, 0, 8, soft);
  writeValue(view, 8, 8, hard);
  return bytes;
}

/** A struct timespec. */
export function timespec(nanoseconds: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  writeValue(view, 0, 8, Math.floor(nanoseconds / 1e9));
  writeValue(view, 8, 8, nanoseconds % 1e9);
  return bytes;
}

/** Bytes of a struct pollfd. */
export const POLLFD_SIZE = 8;

/** A struct pollfd that asks for everything. */
export function pollfd(fd: number | bigint): Uint8Array {
  const bytes = new Uint8Array(POLLFD_SIZE);
  const view = new DataView(bytes.buffer);
  writeValue(view, 0, 4, fd);
  writeValue(view, 4, 2, POLL_ALL);
  return bytes;
}

const CAPABILITY_VERSION_3 = 0x20080522;
/** Bytes of the header, behind which the sets lie. */
export const CAPABILITY_HEADER = 8;
const ALL = 0xffff_ffff;

/** struct __user_cap_header_struct for the caller, and two of struct __user_cap_data_struct: effective, permitted, inheritable. */
export function capabilitySets(without: readonly Capability[]): Uint8Array {
  const words = [CAPABILITY_VERSION_3, 0, ALL & ~capabilityMask(without), ALL, 0, ALL, ALL, 0];
  return new Uint8Array(new Uint32Array(words).buffer);
}
