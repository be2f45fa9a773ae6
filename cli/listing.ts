/** Listings for a terminal: calls one a line, the first that went wrong standing out. */
import { styleText } from "node:util";
import type { ListedCall } from "../campaign/results.ts";

/** How text is shown. */
export interface Style {
  readonly color: boolean;
}

/** The style that fits a stream. */
export function styleOf(stream: NodeJS.WriteStream): Style {
  return { color: stream.isTTY === true && !process.env["NO_COLOR"] };
}

/** Text that stands out where there is colour. */
export function red(text: string, { color }: Style): string {
  return color ? styleText(["red", "bold"], text, { validateStream: false }) : text;
}

/** Text that stands back where there is colour. */
export function dim(text: string, { color }: Style): string {
  return color ? styleText("dim", text, { validateStream: false }) : text;
}

/** `at` is the call that shows what is wrong, or null. Without colour `>>` marks it. */
export function printListing(calls: readonly ListedCall[], at: number | null, style: Style): string {
  const digits = `${calls.length}`.length;
  return calls
    .map(({ call, observed, expected, clause }, index) => {
      const marked = index === at;
      const head = `${marked ? ">>" : "  "} ${`${index + 1}`.padStart(digits)}  ${call}`;
      const result = observed === null ? dim("  (not made)", style) : ` = ${observed}`;
      const line = marked ? red(`${head}${result}`, style) : `${head}${result}`;
      if (expected === null) return line;
      const by = clause === null ? "" : `   [${clause}]`;
      return `${line}\n${" ".repeat(digits + 5)}${red(`expected ${expected}${by}`, style)}`;
    })
    .join("\n");
}
