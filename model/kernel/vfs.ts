/** What the VFS answers before or in place of a driver (fs/read_write.c, mm/mmap.c, fs/ioctl.c, fs/open.c). */
import { POLL } from "../uapi/poll.ts";
import { clauses, refuse } from "./clause.ts";
import type { Kernel } from "./kernel.ts";

export const rule = clauses({
  "VFS-FD-1": {
    rule: "a call on a descriptor that is not open is refused",
    errno: "EBADF",
    source: "fs/file.c:fdget",
  },
  "VFS-FD-2": {
    rule: "read and write need a descriptor opened for that direction",
    errno: "EBADF",
    source: "fs/read_write.c:vfs_read",
  },
  "VFS-FD-3": {
    rule: "a file without a read or write method refuses both, whatever the length",
    errno: "EINVAL",
    source: "fs/read_write.c:vfs_read",
  },
  "VFS-FD-4": {
    rule: "a file without an mmap method can't be mapped",
    errno: "ENODEV",
    source: "mm/mmap.c:do_mmap",
  },
  "VFS-FD-5": {
    rule: "a shared writable mapping needs a descriptor open for reading and writing, any mapping one open for reading",
    errno: "EACCES",
    source: "mm/mmap.c:do_mmap",
  },
  "VFS-FD-6": {
    rule: "a mapping of no length is refused",
    errno: "EINVAL",
    source: "mm/mmap.c:do_mmap",
  },
  "VFS-FD-7": {
    rule: "pread and pwrite need a file with positions",
    errno: "ESPIPE",
    source: "fs/read_write.c:ksys_pread64",
  },
  "VFS-MMAP-1": {
    rule: "a mapping begins at a page of its file",
    errno: "EINVAL",
    source: "arch/x86/kernel/sys_x86_64.c:mmap",
  },
  "VFS-MMAP-2": {
    rule: "a mapping is accessed as it was asked for, and in the process that made it",
    errno: "SIGSEGV",
    source: "arch/x86/mm/fault.c:access_error",
  },
  "VFS-IOCTL-1": {
    rule: "a file answers a command that it does not know with ENOTTY",
    errno: "ENOTTY",
    source: "fs/ioctl.c:vfs_ioctl",
  },
  "VFS-OPEN-1": {
    rule: "a node that is not there can't be opened",
    errno: "ENOENT",
    source: "fs/namei.c:path_openat",
  },
  "VFS-OPEN-2": {
    rule: "an attribute that can't be read or written can't be opened for it, by root neither",
    errno: "EACCES",
    source: "fs/kernfs/file.c:kernfs_fop_open",
  },
  "VFS-POLL-1": {
    rule: "a file without a poll method can be read and written at any time",
    source: "include/linux/poll.h:vfs_poll",
    observable: "output",
  },
  "VFS-POLL-2": {
    rule: "poll tells of a descriptor that is not open by POLLNVAL",
    source: "fs/select.c:do_pollfd",
    observable: "output",
  },
  "VFS-RW-2": {
    rule: "pread and pwrite at a negative offset are refused, whatever the descriptor",
    errno: "EINVAL",
    source: "fs/read_write.c:ksys_pread64",
  },
});

export const steps = {
  /** read or write on a file that has no such method */
  noMethod(): never {
    refuse(rule["VFS-FD-3"]);
  },
  /** DEFAULT_POLLMASK */
  noPoll(k: Kernel): number {
    k.keeps(rule["VFS-POLL-1"]);
    return POLL.POLLIN | POLL.POLLOUT | POLL.POLLRDNORM | POLL.POLLWRNORM;
  },
  /** The end of do_pollfd: a number that is no descriptor is left out when it is negative, else told of. */
  pollNothing(k: Kernel, fd: number): number {
    if (fd < 0) return 0;
    k.keeps(rule["VFS-POLL-2"]);
    return POLL.POLLNVAL;
  },
  noMmap(): never {
    refuse(rule["VFS-FD-4"]);
  },
};
