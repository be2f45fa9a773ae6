import { expect, test } from "vitest";
import { missingSentence, PREREQUISITES } from "./prerequisites.ts";

const wanted = (...names: string[]) => PREREQUISITES.filter(({ name }) => names.includes(name));

test("all that is missing comes with one command", () => {
  expect(missingSentence(wanted("flex", "bc", "gelf.h"), true)).toBe(
    "building a kernel needs flex, bc and gelf.h, not found here: run “apt-get install flex bc libelf-dev” as root, or give a finished kernel with --kernel bzImage.",
  );
});

test("without apt the command is left out", () => {
  expect(missingSentence(wanted("xz"), false)).toBe(
    "building a kernel needs xz, not found here: install what brings them, or give a finished kernel with --kernel bzImage.",
  );
});
