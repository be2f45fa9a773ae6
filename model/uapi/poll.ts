/** What poll(2) says of a file: the bits of `revents` (include/uapi/asm-generic/poll.h). */
export const POLL = {
  POLLIN: 0x001,
  POLLPRI: 0x002,
  POLLOUT: 0x004,
  POLLERR: 0x008,
  POLLHUP: 0x010,
  POLLNVAL: 0x020,
  POLLRDNORM: 0x040,
  POLLRDBAND: 0x080,
  POLLWRNORM: 0x100,
  POLLWRBAND: 0x200,
} as const;

/** Everything that can be asked for; POLLERR, POLLHUP and POLLNVAL are told of unasked. */
export const POLL_ALL =
  POLL.POLLIN | POLL.POLLPRI | POLL.POLLOUT | POLL.POLLRDNORM | POLL.POLLRDBAND | POLL.POLLWRNORM | POLL.POLLWRBAND;
