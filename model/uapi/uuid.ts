/** UUIDs as the kernel keeps them: 16 bytes, in the order of the text. Beside include/linux/uuid.h. */

/** Bytes of a UUID. */
export const UUID_SIZE = 16;

/** The UUID in memory at an offset, in hexadecimal without dashes. */
export function uuidAt(bytes: Uint8Array, offset: number): string {
  return Array.from(bytes.subarray(offset, offset + UUID_SIZE), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
