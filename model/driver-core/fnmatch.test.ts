/** Patterns, as the C library has them. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fnmatch, wildcards } from "./fnmatch.ts";

/** Reads pairs of lines, a pattern and a name, and says of each whether they match. */
const ORACLE = `
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	char pattern[256], name[256];

	while (fgets(pattern, sizeof(pattern), stdin) && fgets(name, sizeof(name), stdin)) {
		pattern[strcspn(pattern, "\\n")] = name[strcspn(name, "\\n")] = 0;
		puts(fnmatch(pattern, name, 0) ? "0" : "1");
	}
	return 0;
}
`;

describe("fnmatch", () => {
  it.each([
    ["pci:v*d*", "pci:v1d2", true],
    ["pci:v*d*", "vfio_pci:v1d2", false],
    ["a?c", "abc", true],
    ["a?c", "ac", false],
    ["[0-9A-F]", "B", true],
    ["[!0-9]", "5", false],
    ["[]a]", "]", true],
    ["[a", "[a", true],
    ["[[:xdigit:]]*", "fz", true],
    ["\\*", "*", true],
    ["\\*", "x", false],
    ["", "", true],
    ["*a*a*a*a*a*a*a*b", "a".repeat(200), false],
  ])("%j and %j: %s", (pattern, name, expected) => {
    expect(fnmatch(pattern, name)).toBe(expected);
  });

  it("says what the C library says", () => {
    const directory = mkdtempSync(join(tmpdir(), "fnmatch-"));
    try {
      const program = join(directory, "oracle");
      writeFileSync(`${program}.c`, ORACLE);
      execFileSync("cc", ["-o", program, `${program}.c`]);
      const pattern = fc
        .array(
          fc.constantFrom("*", "?", "[", "]", "!", "^", "-", "a", "b", "c", "\\", "[a-c]", "[!b]", "[[:alpha:]]"),
          {
            maxLength: 8,
          },
        )
        .map((parts) => parts.join(""));
      const name = fc
        .array(fc.constantFrom("a", "b", "c", "]", "[", "-", "*"), { maxLength: 6 })
        .map((c) => c.join(""));
      const pairs = fc.sample(fc.tuple(pattern, name), { numRuns: 20_000, seed: 1 });
      const said = execFileSync(program, { input: pairs.map((pair) => `${pair.join("\n")}\n`).join("") })
        .toString()
        .trim()
        .split("\n");
      const wrong = pairs.filter(([one, other], at) => fnmatch(one, other) !== (said[at] === "1"));
      expect(said).toHaveLength(pairs.length);
      expect(wrong).toEqual([]);
      expect(said.filter((answer) => answer === "1").length).toBeGreaterThan(500);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it("counts what stands for any text", () => {
    expect(wildcards("pci:v*d*sv*sd*bc*sc*i*")).toBe(7);
    expect(wildcards("a\\*[*]?*")).toBe(1);
  });
});
