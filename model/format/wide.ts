/** Numbers that JSON has no room for: bigints stand as text, `"0x1000"`. */
import { z } from "zod";

/** For JSON.stringify: bigints as text. */
export function wideAsText(_key: string, value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  return value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

/** A bigint as `wideAsText` writes it. */
export const wideNumber = z
  .string()
  .regex(/^-?0x[0-9a-f]+$/i, { error: 'expected a wide number such as "0x1000"' })
  .transform((text) => (text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text)));
