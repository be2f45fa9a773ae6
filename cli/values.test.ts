import { InvalidArgumentError } from "commander";
import { describe, expect, it } from "vitest";
import { parseCount, parseDuration, parseList, parseSeed } from "./values.ts";

describe("values of options", () => {
  it("are times with a unit, or seconds", () => {
    expect(["30s", "5m", "1h", "90", "0.5m"].map(parseDuration)).toEqual([30, 300, 3600, 90, 30]);
    for (const bad of ["", "0s", "5 m", "-3s", "5d", "soon"]) {
      expect(() => parseDuration(bad), bad).toThrow(InvalidArgumentError);
    }
  });

  it("are whole numbers", () => {
    expect(parseCount("50")).toBe(50);
    for (const bad of ["0", "-1", "1.5", "many", ""]) expect(() => parseCount(bad), bad).toThrow(InvalidArgumentError);
  });

  it("are seeds of 32 bits, signed as fast-check prints them", () => {
    expect(["7", "-7", "4294967295"].map(parseSeed)).toEqual([7, -7, -1]);
    for (const bad of ["", "4294967296", "1.5", "x"]) expect(() => parseSeed(bad), bad).toThrow(InvalidArgumentError);
  });

  it("are lists, by commas and by repeating the option", () => {
    expect(parseList("c", parseList("a,b"))).toEqual(["a", "b", "c"]);
    expect(() => parseList("a,,b")).toThrow(InvalidArgumentError);
  });
});
