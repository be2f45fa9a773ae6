/** Numbers of 64 bits. */

/** The largest: the last address, "all of it", no limit. */
export const U64_MAX = (1n << 64n) - 1n;
