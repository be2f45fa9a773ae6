// The one error of this folder: a kernel cannot be had, and the sentence says what to do about it.

/** What went wrong and what to do, in one sentence; `detail` holds lines of a log worth showing below it. */
export class KernelError extends Error {
  override readonly name = "KernelError";

  constructor(
    message: string,
    readonly detail: readonly string[] = [],
  ) {
    super(message);
  }
}

/** Whether a file system refused because it is full. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOSPC";
}
