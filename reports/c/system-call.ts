/** System calls as C, with an allocation of them failing where that is asked for. */
import type { Call } from "../../model/program.ts";
import { cNumber } from "./syntax.ts";

/** A system call by its number. */
export function systemCall(failNth: number | undefined, number: string, values: readonly string[]): string {
  if (failNth === undefined) return `result(syscall(${[number, ...values].join(", ")}))`;
  const six = [...values, ...Array.from({ length: 6 - values.length }, () => "0")];
  return `failing(${failNth}, ${number}, ${six.join(", ")})`;
}

/** The same, where a C function does it as long as nothing is to fail. */
export function functionCall(
  failNth: number | undefined,
  usual: string,
  number: string,
  values: readonly string[],
): string {
  return failNth === undefined ? usual : systemCall(failNth, number, values);
}

/** An ioctl, with the failure that it asks for; `by` is the process that makes it. */
export function ioctlExpression(
  { request, failNth }: Call & { op: "ioctl" },
  by: string | undefined,
  fd: string,
  argument: string,
): string {
  if (by !== undefined) return `do_ioctl_by(${by}, ${fd}, ${request}, ${argument})`;
  return functionCall(failNth, `do_ioctl(${fd}, ${request}, ${argument})`, "SYS_ioctl", [fd, request, argument]);
}

/** `O_RDWR` */
export function openFlags(flags: number): string {
  const mode = ["O_RDONLY", "O_WRONLY", "O_RDWR"][flags & 3] ?? "3";
  return flags & ~3 ? `${mode} | ${cNumber(flags & ~3, 4, true)}` : mode;
}
