import { CommanderError } from "commander";
import { describe, expect, it } from "vitest";
import { KernelError } from "../targets/kernel/errors.ts";
import { TargetError } from "../targets/target.ts";
import { report, UsageError } from "./errors.ts";

function told(error: unknown): { readonly code: number; readonly text: string } {
  let text = "";
  const code = report(error, (more) => {
    text += more;
  });
  return { code, text };
}

describe("an error", () => {
  it("is one sentence and exit code 3", () => {
    expect(told(new UsageError("--x is for --y."))).toEqual({ code: 3, text: "--x is for --y.\n" });
    expect(told(new TargetError("The target was lost."))).toEqual({ code: 3, text: "The target was lost.\n" });
  });

  it("has the log's lines below it where a kernel could not be built", () => {
    expect(told(new KernelError("make failed.", ["cc: oops"])).text).toBe("make failed.\n  cc: oops\n");
  });

  it("that nobody expected says so and where it was", () => {
    const { code, text } = told(new RangeError("off by one"));
    expect(code).toBe(3);
    expect(text).toMatch(/^The suite itself failed; this is a bug in it\.\nRangeError: off by one\n +at /);
  });

  it("is none when help was asked for", () => {
    expect(told(new CommanderError(0, "commander.helpDisplayed", ""))).toEqual({ code: 0, text: "" });
    expect(told(new CommanderError(1, "commander.unknownOption", "error: …"))).toEqual({ code: 3, text: "" });
  });
});
