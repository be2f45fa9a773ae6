import { describe, expect, test } from "vitest";
import { Assembler } from "./assembler.ts";
import { SCRATCH } from "./layout.ts";

const hex = (code: Uint8Array) => Buffer.from(code).toString("hex");

describe("the assembler", () => {
  test("writes a system call with its arguments, and which of them are slots", () => {
    const code = new Assembler().syscall(16, { slot: 3 }, 0x3b64, SCRATCH.address).finish();
    expect(hex(code)).toBe(
      ["04", "1000", "03", "01", "0300000000000000", "643b000000000000", "0000000000100000"].join(""),
    );
  });

  test("writes negative numbers in two's complement, as number and as bigint", () => {
    const code = new Assembler().syscall(257, -100, -100n).finish();
    expect(hex(code)).toBe(["04", "0101", "02", "00", "9cffffffffffffff", "9cffffffffffffff"].join(""));
  });

  test("skips exactly what stands inside unlessFailed", () => {
    const code = new Assembler()
      .unlessFailed((then) => then.keep(1).mark(2))
      .keep(3)
      .finish();
    expect(hex(code)).toBe(["0b", "08000000", "050100", "0c02000000", "050300"].join(""));
  });

  test("grows, and starts over after finish", () => {
    const assembler = new Assembler();
    const long = assembler.poke(SCRATCH.address, new Uint8Array(100_000)).finish();
    expect(long.length).toBe(100_013);
    expect(hex(assembler.keep(1).finish())).toBe("050100");
    expect(long.length).toBe(100_013);
  });
});
