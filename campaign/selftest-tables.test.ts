/** The tables from the kernel's selftests to what checks the same here name nothing that is not there. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findClause } from "../model/kernel/clause.ts";
import { PROPERTIES } from "../properties/all.ts";
import { HISTORY_INVARIANTS, STATE_INVARIANTS } from "../properties/invariants/all.ts";
import { SCENARIOS } from "../scenarios/all.ts";
import { IOMMUFD_SELFTESTS } from "../scenarios/selftests-iommufd.ts";

const text = readFileSync(join(import.meta.dirname, "../docs/selftests-iommufd.md"), "utf8");
/** What stands beside the tests, and in the text around the tables. */
const prose = text.replaceAll(/^\|[^|]*\|/gm, "").replaceAll(/^ {4}.*$/gm, "");
/** Names in backquotes that are neither files nor the kernel's own. */
const named = [...prose.matchAll(/`([a-z][a-z0-9-]*(?:-\*)?)`/g)].flatMap(([, name]) => name ?? []);

const known = [SCENARIOS, PROPERTIES, STATE_INVARIANTS, HISTORY_INVARIANTS].flatMap((all) => all.map(({ id }) => id));
const stands = (name: string): boolean =>
  name.endsWith("*") ? known.some((id) => id.startsWith(name.slice(0, -1))) : known.includes(name);

describe("the table of the iommufd selftests", () => {
  test("names scenarios, properties and invariants that are there", () => {
    const fixtures = new Set([...text.matchAll(/^### Fixture `(\w+)`/gm)].map(([, name]) => name));
    expect(named.filter((name) => !stands(name) && !fixtures.has(name) && name !== "selftest-")).toEqual([]);
  });

  test("names clauses that are there", () => {
    const ids = [...text.matchAll(/\b(IOMMUFD-[A-Z]+(?:-[A-Z]+)?)-(\d+)(?: to -(\d+)|((?:, -\d+)+))?/g)].flatMap(
      ([, family, first, last, more]) => {
        const from = Number(first);
        const numbers = last ? Array.from({ length: Number(last) - from + 1 }, (_, i) => from + i) : [from];
        const others = [...(more ?? "").matchAll(/\d+/g)].map(Number);
        return [...numbers, ...others].map((number) => `${family}-${number}`);
      },
    );
    expect(ids.length).toBeGreaterThan(20);
    expect(ids.filter((id) => !findClause(id))).toEqual([]);
  });

  test("names every scenario that follows a test", () => {
    const prefixes = named.map((name) => name.replace(/\*$/, ""));
    expect(IOMMUFD_SELFTESTS.map(({ id }) => id).filter((id) => !prefixes.some((it) => id.startsWith(it)))).toEqual([]);
  });
});
