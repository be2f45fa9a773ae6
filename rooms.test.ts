/** Imports run one way: cli → reports → campaign → properties, scenarios, targets → model. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";

const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  model: [],
  properties: ["model"],
  scenarios: ["model"],
  targets: ["model"],
  campaign: ["model", "properties", "scenarios", "targets"],
  reports: ["model", "properties", "scenarios", "targets", "campaign"],
  cli: ["model", "properties", "scenarios", "targets", "campaign", "reports"],
};

const root = import.meta.dirname;

function foreignImports(room: string): string[] {
  const found: string[] = [];
  for (const name of readdirSync(join(root, room), { recursive: true, encoding: "utf8" })) {
    // What a test uses to show its case is no part of the house.
    if (!name.endsWith(".ts") || name.endsWith(".test.ts")) continue;
    const file = join(room, name);
    const source = readFileSync(join(root, file), "utf8");
    for (const [, path] of source.matchAll(/from\s+"(\.{1,2}\/[^"]+)"/g)) {
      const imported = relative(root, join(root, dirname(file), path ?? "")).split("/")[0] ?? "";
      if (imported !== room && imported in MAY_IMPORT && !MAY_IMPORT[room]?.includes(imported)) {
        found.push(`${file} imports ${path}`);
      }
    }
  }
  return found;
}

for (const room of Object.keys(MAY_IMPORT)) {
  test(`${room} imports only what stands below it`, () => {
    expect(foreignImports(room)).toEqual([]);
  });
}
