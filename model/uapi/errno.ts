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

/** The name of an error number, as a manual page spells it. */
export type Errno = keyof typeof ERRNO;

const NAMES = new Map<number, Errno>(Object.entries(ERRNO).map(([name, code]) => [code, name as Errno]));

/** `EINVAL` for 22; `errno 133` for a number this table does not have. */
export function errnoName(code: number): string {
  return NAMES.get(code) ?? `errno ${code}`;
}
