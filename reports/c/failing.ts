/** System calls with an allocation of them failing, as C. */
import type { Attribute, Call, Node, Value, WriteBuffer } from "../../model/program.ts";
import { cNumber, cString } from "./syntax.ts";

/** How the parts of a call are written. */
export interface Parts {
  value(from: Value): string;
  content(write: WriteBuffer): string;
  node(node: Node): string;
  attribute(attribute: Attribute): string;
  address(device: string): string;
}

/** A system call by its number, with its nth allocation failing. */
export function failing(nth: number, number: string, values: readonly string[]): string {
  const six = [...values, ...Array.from({ length: 6 - values.length }, () => "0")];
  return `failing(${nth}, ${number}, ${six.join(", ")})`;
}

/** An ioctl, with the failure that it asks for. */
export function ioctlExpression({ request, failNth }: Call & { op: "ioctl" }, fd: string, argument: string): string {
  if (failNth === undefined) return `do_ioctl(${fd}, ${request}, ${argument})`;
  return failing(failNth, "SYS_ioctl", [fd, request, argument]);
}

/** Any other call that brings no bytes, with its nth allocation failing. */
export function failingExpression(
  call: Exclude<Call, { op: "ioctl" | "read" | "pread" }>,
  nth: number,
  { value, content, node, attribute, address }: Parts,
): string {
  switch (call.op) {
    case "open":
      return failing(nth, "SYS_openat", ["AT_FDCWD", `(long)${node(call.node)}`, openFlags(call.flags ?? 2)]);
    case "eventfd":
      return failing(nth, "SYS_eventfd2", ["0", "EFD_NONBLOCK"]);
    case "close":
      return failing(nth, "SYS_close", [value(call.fd)]);
    case "dup":
      return failing(nth, "SYS_dup", [value(call.fd)]);
    case "write":
      return failing(nth, "SYS_write", [value(call.fd), content(call), `${call.count}UL`]);
    case "pwrite":
      return failing(nth, "SYS_pwrite64", [value(call.fd), content(call), `${call.count}UL`, value(call.offset)]);
    case "mmap": {
      const place = ["MAP_SHARED", value(call.fd), value(call.offset)];
      return failing(nth, "SYS_mmap", ["0", `${call.length}UL`, `${call.prot}`, ...place]);
    }
    case "sysfs-write": {
      const { text } = call;
      const what = "device" in text ? address(text.device) : cString(text.text);
      return `write_file_failing(${nth}, ${attribute(call.attribute)}, ${what})`;
    }
    case "sysfs-read":
      return `read_file_failing(${nth}, ${attribute(call.attribute)})`;
    default:
      throw new Error(`${call.op} can't run out of memory`);
  }
}

/** `O_RDWR` */
export function openFlags(flags: number): string {
  const mode = ["O_RDONLY", "O_WRONLY", "O_RDWR"][flags & 3] ?? "3";
  return flags & ~3 ? `${mode} | ${cNumber(flags & ~3, 4, true)}` : mode;
}
