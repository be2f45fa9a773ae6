/**
 * How attributes in sysfs read what is written to them. Beside fs/sysfs/file.c and lib/string_helpers.c.
 *
 * Text is one byte a character.
 */

const PAGE_SIZE = 4096;

/** What one write(2) brings to an attribute: kernfs takes a page at the most. */
export function taken(text: string): string {
  return text.slice(0, PAGE_SIZE);
}

/** The text as a C string: up to its first NUL. */
export function cString(text: string): string {
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}

/** sysfs_streq: whether what was written is `name`, one newline at its end not counted. */
export function names(text: string, name: string): boolean {
  const written = cString(text);
  return written === name || written === `${name}\n`;
}

/** What isspace() of the kernel takes for white space. */
const HEXADECIMAL = /^[ \t\n\v\f\r\xa0]*(?:0x([0-9a-f]*)|([0-9a-f]+))/i;

/**
 * sscanf of `%x %x …`: the hexadecimal numbers that stand at the beginning, `most` at the most, each with or without 0x. White
 * space in front of one counts as little as what stands behind the last. Beside lib/vsprintf.c:vsscanf.
 */
export function scanHexadecimal(text: string, most: number): bigint[] {
  const numbers: bigint[] = [];
  let rest = cString(text);
  while (numbers.length < most) {
    const match = HEXADECIMAL.exec(rest);
    if (!match) break;
    numbers.push(BigInt(`0x0${match[1] ?? match[2] ?? ""}`));
    rest = rest.slice(match[0].length);
  }
  return numbers;
}

const LARGEST = 2n ** 64n - 1n;

/**
 * kstrtoul with base 0: the number that was written, or null where it is none. Octal and hexadecimal by prefix, a plus
 * sign before and a newline behind are taken; a number that does not fit 64 bits is none.
 */
export function parseUnsigned(text: string): bigint | null {
  const match = /^\+?(?:0x([0-9a-f]+)|0([0-7]*)|([1-9][0-9]*))\n?$/i.exec(cString(text));
  if (!match) return null;
  const [, hexadecimal, octal, decimal] = match;
  let value: bigint;
  if (hexadecimal !== undefined) value = BigInt(`0x${hexadecimal}`);
  else if (octal !== undefined) value = BigInt(`0o0${octal}`);
  else value = BigInt(decimal ?? 0);
  return value <= LARGEST ? value : null;
}
