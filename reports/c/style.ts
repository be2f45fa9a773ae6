/** How a C program checks and tells: on its own, or as a case of the kernel's selftest harness. */

import { errnoName, SIGNAL, SIGNAL_BASE } from "../../model/uapi/errno.ts";
import type { Layout } from "../../model/uapi/layout.ts";
import { fieldTableName } from "./declarations.ts";
import type { Expectation } from "./expectations.ts";
import { cNumber, cString, inComment } from "./syntax.ts";

export interface Style {
  /** Comes before a call. */
  begin(index: number, text: string): string[];
  /** Compares `ret`; where the kernel may choose, any success is right. */
  result(expectation: Expectation | null, chosen: boolean): string[];
  /** Gives up where no allocation failed that is to have failed. */
  injected(): string[];
  /** Compares the first `length` bytes of `arg` with those of `expected`; their fields lie in `path` of them. */
  struct(layout: Layout, path: string, length: number): string[];
  /** Compares so many bytes of memory. */
  data(address: string, expected: string, length: number): string[];
  /** Compares the text that was read. */
  text(expected: string): string[];
}

/** `-EINVAL`, `-(1000 + SIGBUS)` */
function resultLiteral(ret: number): string {
  if (ret >= 0) return cNumber(ret, 8, true);
  const name = errnoName(-ret);
  if (name in SIGNAL) return `-(${SIGNAL_BASE} + ${name})`;
  return name.startsWith("errno") ? String(ret) : `-${name}`;
}

export const ALONE: Style = {
  begin: (index, text) => [`call(${index}, ${cString(text)});`],
  result(expectation, chosen) {
    if (!expectation) return ["expect_anything(ret);"];
    return [chosen ? "expect_success(ret);" : `expect_result(ret, ${resultLiteral(expectation.ret)});`];
  },
  injected: () => ["expect_injected();"],
  struct: (layout, _path, length) => [`expect_struct(${fieldTableName(layout)}, &arg, &expected, ${length});`],
  data: (address, expected, length) => [`expect_data(${address}, ${expected}, ${length});`],
  text: (expected) => [`expect_text(${cString(expected)});`],
};

export const KSELFTEST: Style = {
  begin: (index, text) => [`/* ${index}: ${inComment(text)} */`],
  result(expectation, chosen) {
    if (!expectation) return ["(void)ret;"];
    return [chosen ? "EXPECT_LE(0, ret);" : `EXPECT_EQ(${resultLiteral(expectation.ret)}, ret);`];
  },
  injected: () => ["if (!injected)", '\tSKIP(return, "no allocation failed: this kernel makes fewer of them here");'],
  struct(layout, path, length) {
    const lines: string[] = [];
    let done = 0;
    for (const { name, offset, width } of layout.fields) {
      if (offset + width > length) break;
      lines.push(`EXPECT_EQ(expected${path}.${name}, arg${path}.${name});`);
      done = offset + width;
    }
    if (done < length) lines.push(`EXPECT_EQ(0, memcmp(&expected, &arg, ${length}));`);
    return lines;
  },
  data: (address, expected, length) => [`EXPECT_EQ(0, memcmp((void *)(${address}), (${expected}), ${length}));`],
  text: (expected) => [`EXPECT_STREQ(${cString(expected)}, seen);`],
};
