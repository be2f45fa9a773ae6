/**
 * Registers as text: runs of bytes that are not zero, each with the offset that it begins at, all in hexadecimal; a byte that
 * comes often has its count behind it, in decimal. `0:86800010 40:ff*192` is four bytes, and 192 times ff from 0x40 on.
 */

/** Counts below this are written out. */
const WORTH_COUNTING = 8;

/** The registers that a text tells of; zero where it tells nothing. */
export function parseRegisters(text: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (const run of text.split(" ")) {
    const [, offset, byte, count, several] =
      /^([0-9a-f]+):(?:([0-9a-f]{2})\*([0-9]+)|((?:[0-9a-f]{2})+))$/.exec(run) ?? [];
    if (offset === undefined) {
      if (run === "") continue;
      throw new Error(`"${run}" is no run of registers`);
    }
    const at = Number.parseInt(offset, 16);
    if (byte !== undefined) bytes.fill(Number.parseInt(byte, 16), at, at + Number(count));
    else if (several !== undefined) bytes.set(Buffer.from(several, "hex").subarray(0, Math.max(0, length - at)), at);
  }
  return bytes;
}

/** The shortest text that tells of all registers. */
export function formatRegisters(bytes: Uint8Array): string {
  const runs: string[] = [];
  let open = "";
  for (let at = 0; at < bytes.length; ) {
    const byte = bytes[at] ?? 0;
    let end = at + 1;
    while (end < bytes.length && bytes[end] === byte) end++;
    const counted = end - at >= WORTH_COUNTING;
    const hex = byte.toString(16).padStart(2, "0");
    if (byte === 0 ? end - at > 1 : counted) {
      if (open !== "") runs.push(open);
      open = "";
      if (byte !== 0) runs.push(`${at.toString(16)}:${hex}*${end - at}`);
    } else {
      if (open === "" && byte === 0) {
        at = end;
        continue;
      }
      open = (open === "" ? `${at.toString(16)}:` : open) + hex.repeat(end - at);
    }
    at = end;
  }
  if (open !== "") runs.push(open);
  return runs.join(" ");
}
