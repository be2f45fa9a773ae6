/** The small change of C: names, strings, numbers, comments. */
import type { Width } from "../../model/uapi/layout.ts";

/** What no name of ours may be, besides the words of the helpers. */
const KEYWORDS =
  "auto break case char const continue default do double else enum extern float for goto if inline int long register " +
  "restrict return short signed sizeof static struct switch typedef union unsigned void volatile while main self ret " +
  "arg expected at close open dup read write ioctl mmap access eventfd stdin stdout stderr errno environ";

/** Gives each handle or device a C name of its own, as near to it as C allows. */
export class Names {
  readonly #taken: Set<string>;
  readonly #given = new Map<string, string>();

  constructor(words: Iterable<string>) {
    this.#taken = new Set([...KEYWORDS.split(" "), ...words]);
  }

  /** The C name of what goes by that key; `like` is what it shall look like. */
  of(key: string, like = key): string {
    const known = this.#given.get(key);
    if (known !== undefined) return known;
    let candidate = like.replace(/^@/, "").replace(/[^A-Za-z0-9_]/g, "_");
    if (/^[0-9]/.test(candidate)) candidate = `_${candidate}`;
    while (this.#taken.has(candidate)) candidate += "_";
    this.#taken.add(candidate);
    this.#given.set(key, candidate);
    return candidate;
  }
}

/** A string literal. Bytes that are not plain ASCII stand as octal escapes, so that nothing depends on an encoding. */
export function cString(text: string): string {
  let out = "";
  for (const byte of new TextEncoder().encode(text)) {
    const char = String.fromCharCode(byte);
    if (char === "\n") out += "\\n";
    else if (char === '"' || char === "\\") out += `\\${char}`;
    else if (byte < 32 || byte > 126 || char === "?")
      out += char === "?" ? "\\?" : `\\${byte.toString(8).padStart(3, "0")}`;
    else out += char;
  }
  return `"${out}"`;
}

/** Text for the inside of a comment. */
export function inComment(text: string): string {
  return text.replace(/\*\//g, "* /").replace(/\/\*/g, "/ *");
}

/** The number as a field of that width holds it, written so that the compiler takes it for one of that type. */
export function cNumber(value: number | bigint, width: Width, signed: boolean): string {
  const bits = 8 * width;
  const exact = signed ? BigInt.asIntN(bits, BigInt(value)) : BigInt.asUintN(bits, BigInt(value));
  const suffix = width === 8 && !signed ? "ULL" : "";
  if (exact < 0n) return exact < -4096n ? `-0x${(-exact).toString(16)}` : exact.toString();
  return exact < 4096n ? exact.toString() : `0x${exact.toString(16)}${suffix}`;
}

/** The C type of a field. */
export function cType(width: Width, signed: boolean): string {
  return `${signed ? "" : "u"}int${8 * width}_t`;
}

/** Indents every line that is not empty by so many tabs. */
export function indent(lines: readonly string[], tabs = 1): string[] {
  return lines.map((line) => (line === "" ? line : "\t".repeat(tabs) + line));
}

/** Text broken into lines of a block comment. */
export function blockComment(paragraphs: readonly string[]): string[] {
  const lines: string[] = [];
  for (const paragraph of paragraphs) {
    let line = "";
    for (const word of inComment(paragraph).split(/\s+/)) {
      if (line !== "" && line.length + word.length > 96) {
        lines.push(line);
        line = "";
      }
      line = line === "" ? word : `${line} ${word}`;
    }
    lines.push(line);
  }
  return ["/*", ...lines.map((line) => ` * ${line}`.trimEnd()), " */"];
}
