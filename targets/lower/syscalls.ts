/** Numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl) and the few constants that go with them. */
export const SYS = {
  read: 0,
  write: 1,
  close: 3,
  poll: 7,
  lseek: 8,
  mmap: 9,
  munmap: 11,
  ioctl: 16,
  pread64: 17,
  pwrite64: 18,
  access: 21,
  sched_yield: 24,
  dup: 32,
  nanosleep: 35,
  fcntl: 72,
  ftruncate: 77,
  readlink: 89,
  capset: 126,
  openat: 257,
  eventfd2: 290,
  prlimit64: 302,
  memfd_create: 319,
} as const;

export const AT_FDCWD = -100;
export const EFD_NONBLOCK = 0o4000;
export const MFD_ALLOW_SEALING = 2;
export const F_ADD_SEALS = 1033;
export const F_SEAL_WRITE = 8;
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const PROT_WRITE = 2;
