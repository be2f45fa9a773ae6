/** Error numbers of x86-64 Linux (include/uapi/asm-generic/errno-base.h and errno.h), only those the modelled API answers. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EINVAL: 22,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  ESPIPE: 29,
  ERANGE: 34,
  EDEADLK: 35,
  ENOSYS: 38,
  ENOMSG: 42,
  EBADE: 52,
  EOVERFLOW: 75,
  EBADFD: 77,
  EUSERS: 87,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
} as const;

/** Signals that an access of memory ends in, each as the number that stands for it where a call has its error number. */
export const SIGNAL = { SIGBUS: 1007, SIGSEGV: 1011 } as const;
/** What is added to a signal's number. */
export const SIGNAL_BASE = 1000;

/** The name of an error number, or of a signal in its place, as a manual page spells it. */
export type Errno = keyof typeof ERRNO | keyof typeof SIGNAL;

/** The number of a name. */
export function errnoCode(name: Errno): number {
  return name in SIGNAL ? SIGNAL[name as keyof typeof SIGNAL] : ERRNO[name as keyof typeof ERRNO];
}

const NAMES = new Map<number, string>(
  [...Object.entries(ERRNO), ...Object.entries(SIGNAL)].map(([name, code]) => [code, name]),
);

/** `EINVAL` for 22; `errno 133` for a number this table does not have. */
export function errnoName(code: number): string {
  return NAMES.get(code) ?? `errno ${code}`;
}
