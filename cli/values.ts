/** Values of options, from text. Each throws commander's own error, which names the option. */
import { InvalidArgumentError } from "commander";

const UNITS = { s: 1, m: 60, h: 3600 } as const;

/** `30s`, `5m`, `1h`, or a plain number of seconds; in seconds. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([smh]?)$/.exec(text);
  const unit = match?.[2];
  const factor = unit === "m" || unit === "h" ? UNITS[unit] : UNITS.s;
  const seconds = Number(match?.[1] ?? 0) * factor;
  if (seconds <= 0) throw new InvalidArgumentError("Give a time such as 30s, 5m or 1h.");
  return seconds;
}

/** A whole number from 1 on. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) throw new InvalidArgumentError("Give a whole number from 1 on.");
  return count;
}

/** A seed: 32 bits, signed as fast-check prints them. */
export function parseSeed(text: string): number {
  const seed = Number(text);
  if (text.trim() === "" || !Number.isInteger(seed) || seed < -(2 ** 31) || seed >= 2 ** 32) {
    throw new InvalidArgumentError("Give a whole number of 32 bits.");
  }
  return seed | 0;
}

/** `a,b` and repeated options, in order. */
export function parseList(text: string, before: readonly string[] = []): readonly string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.includes("")) throw new InvalidArgumentError("Separate names by single commas.");
  return [...before, ...names];
}
