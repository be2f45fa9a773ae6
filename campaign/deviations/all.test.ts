/** Every deviation is told of where a user looks, and has its evidence. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { findScenario } from "../../scenarios/all.ts";
import { DEVIATIONS } from "./all.ts";

test("every deviation has its line in docs/deviations.md", async () => {
  const page = await readFile(new URL("../../docs/deviations.md", import.meta.url), "utf8");
  expect(DEVIATIONS.filter(({ id }) => !page.includes(`| \`${id}\` |`)).map(({ id }) => id)).toEqual([]);
});

test("every deviation has a scenario that shows it", () => {
  const shown = DEVIATIONS.filter(({ id, evidence }) => findScenario(evidence)?.breaks === id);
  expect(DEVIATIONS.filter((each) => !shown.includes(each)).map(({ id }) => id)).toEqual([]);
});
