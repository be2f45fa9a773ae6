import { describe, expect, test } from "vitest";
import { decodeHandshake, decodeResult, encodeRequest, FrameReader, ProtocolError } from "./wire.ts";

const frame = (...bytes: number[]) => {
  const buffer = Buffer.alloc(4 + bytes.length);
  buffer.writeUInt32LE(bytes.length);
  buffer.set(bytes, 4);
  return buffer;
};

describe("the frame reader", () => {
  const stream = Buffer.concat([frame(1, 2, 3), frame(), frame(4)]);

  test("finds the same frames however the stream is cut", () => {
    for (let size = 1; size <= stream.length; size++) {
      const reader = new FrameReader();
      const found: string[] = [];
      for (let at = 0; at < stream.length; at += size) {
        for (const whole of reader.push(stream.subarray(at, at + size))) found.push(whole.toString("hex"));
      }
      expect(found).toEqual(["03000000010203", "00000000", "0100000004"]);
    }
  });
});

describe("a request", () => {
  test("carries its code and cleanup code", () => {
    const bytes = encodeRequest({ id: 9, code: Uint8Array.of(1, 2), cleanup: Uint8Array.of(3), timeoutMs: 7 }, 5);
    expect(Buffer.from(bytes).toString("hex")).toBe(
      ["17000000", "05000000", "00000000", "07000000", "02000000", "01000000", "0102", "03"].join(""),
    );
  });

  test("that is longer than the agent takes is refused", () => {
    const code = new Uint8Array(8 * 2 ** 20);
    expect(() => encodeRequest({ id: 1, code, timeoutMs: 1 }, 1)).toThrow(/split it/);
  });
});

describe("what the agent sends", () => {
  test("is taken apart", () => {
    const bytes = Buffer.alloc(48 + 10);
    bytes.writeUInt32LE(54, 0);
    bytes.writeUInt32LE(5, 4);
    bytes.set([1, 0, 1], 8); // hung, killed
    bytes.writeUInt32LE(3, 12); // in call 3
    bytes.set([2, 11], 20); // cleanup: signal 11
    bytes.writeUInt32LE(1, 24);
    for (const [i, length] of [1, 2, 3, 4].entries()) bytes.writeUInt32LE(length, 32 + 4 * i);
    bytes.write("oCCstklogs", 48);
    const result = decodeResult(bytes);
    expect(result.status).toEqual({ kind: "hung", mark: 3, stack: "stk", killed: true });
    expect(result.cleanupStatus).toEqual({ kind: "signal", signo: 11, mark: 1 });
    expect([result.output.toString(), result.cleanupOutput.toString(), result.log]).toEqual([
      Buffer.from("o").toString(),
      Buffer.from("CC").toString(),
      "logs",
    ]);
  });

  test("is refused when its parts do not fill it", () => {
    const bytes = Buffer.alloc(49);
    bytes.writeUInt32LE(45, 0);
    expect(() => decodeResult(bytes)).toThrow(ProtocolError);
  });

  test("is refused when it is not the agent that answers", () => {
    expect(() => decodeHandshake(Buffer.from("login: ".padEnd(64)))).toThrow("What answered is not the agent.");
  });
});
