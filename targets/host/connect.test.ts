/** The agent itself, run on this machine: harmless programs only. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Assembler } from "../agent/assembler.ts";
import { AgentCompileError, compileAgent } from "../agent/compile.ts";
import { TargetLost } from "../agent/connection.ts";
import { MARK_NONE, NOTHING, SCRATCH, SCRATCH_READ_ONLY, USER, USER_READ_ONLY } from "../agent/layout.ts";
import type { AgentRequest, AgentResult } from "../agent/wire.ts";
import { connectHost, type Host } from "./connect.ts";

const [SYS_READ, SYS_WRITE, SYS_CLOSE, SYS_PAUSE, SYS_GETPID, SYS_KILL, SYS_OPENAT] = [0, 1, 3, 34, 39, 62, 257];
const AT_FDCWD = -100;
const [EBADF, EFAULT] = [9n, 14n];
const [SIGSEGV, SIGKILL] = [11, 9];

const cannot = await compileAgent().then(
  () => undefined,
  (error: unknown) => (error instanceof AgentCompileError ? error.message : Promise.reject(error)),
);
if (cannot !== undefined) console.warn(`The agent is not tested: ${cannot}`);

describe.skipIf(cannot !== undefined)("the agent", () => {
  let host: Host;
  beforeAll(async () => {
    host = await connectHost();
  });
  afterAll(() => host[Symbol.asyncDispose]());

  const code = (write: (assembler: Assembler) => unknown): Uint8Array => {
    const assembler = new Assembler();
    write(assembler);
    return assembler.finish();
  };
  const run = (write: (assembler: Assembler) => unknown, more: Partial<AgentRequest> = {}): Promise<AgentResult> =>
    host.agent.runOne({ id: 1, code: code(write), timeoutMs: 5000, ...more });
  const results = (bytes: Uint8Array): bigint[] =>
    Array.from({ length: bytes.length / 8 }, (_, i) => Buffer.from(bytes).readBigInt64LE(8 * i));
  const open = (assembler: Assembler, path: string) =>
    assembler.pokeText(SCRATCH.address, path).syscall(SYS_OPENAT, AT_FDCWD, SCRATCH.address, 2);

  test("opens, keeps the fd in a slot, and closes", async () => {
    const { status, output } = await run((a) => open(a, "/dev/null").keep(0).syscall(SYS_CLOSE, { slot: 0 }));
    expect(status).toEqual({ kind: "done" });
    expect(results(output)).toEqual([BigInt(host.agent.handshake.firstFd), 0n]);
  });

  test("gives every program the same first fd, though none of them closes it", async () => {
    for (let i = 0; i < 3; i++) expect(results((await run((a) => open(a, "/dev/null"))).output)).toEqual([3n]);
  });

  test("gives every program memory of zeros", async () => {
    for (let i = 0; i < 2; i++) {
      const { output } = await run((a) =>
        a
          .peek(SCRATCH.address + 64, 8)
          .peek(USER.address, 8)
          .poke(SCRATCH.address + 64, Uint8Array.of(1))
          .poke(USER.address, Uint8Array.of(1))
          .peek(SCRATCH_READ_ONLY.address + 64, 8),
      );
      expect(results(output)).toEqual([0n, 0n, 1n]);
    }
  });

  test.each([
    ["the read-only alias of the scratch memory", SCRATCH_READ_ONLY.address],
    ["the read-only user memory", USER_READ_ONLY.address],
    ["the end of the scratch memory", SCRATCH.address + SCRATCH.size],
    ["the end of the user memory", USER.address + USER.size],
    ["memory that is not there", NOTHING],
  ])("a write to %s is a signal that the program survives", async (_, address) => {
    const { status, output } = await run((a) => a.touchWrite(address, 1, 1).touchRead(SCRATCH.address, 1));
    expect(status).toEqual({ kind: "done" });
    expect(Buffer.from(output).toString("hex")).toBe("0b000000" + "00000000" + "0000000000000000");
  });

  test("the kernel faults at the end of the scratch memory", async () => {
    const end = SCRATCH.address + SCRATCH.size;
    const { output } = await run((a) => open(a, "/dev/zero").keep(0).syscall(SYS_READ, { slot: 0 }, end, 8));
    expect(results(output)).toEqual([3n, -EFAULT]);
  });

  test("skips what needs the call that failed", async () => {
    const { output } = await run((a) =>
      a
        .syscall(SYS_CLOSE, 77)
        .keep(5)
        .unlessFailed((then) => then.syscall(SYS_GETPID))
        .unlessUnset(5, (then) => then.syscall(SYS_GETPID))
        .syscall(SYS_CLOSE, { slot: 5 }),
    );
    expect(results(output)).toEqual([-EBADF, -EBADF]);
  });

  test("moves values between slots and memory, as bytes and as text", async () => {
    const { output } = await run((a) =>
      a
        .pokeText(SCRATCH.address, "vfio42")
        .number(SCRATCH.address, 1)
        .pokeDecimal(SCRATCH.address + 16, 1)
        .pokeDecimal(SCRATCH.address + 24, 2)
        .pokeSlot(SCRATCH.address + 32, 4, 1)
        .syscall(SYS_GETPID)
        .load(3, SCRATCH.address + 32, 2)
        .pokeSlot(SCRATCH.address + 40, 8, 3)
        .peek(SCRATCH.address + 16, 32),
    );
    const bytes = Buffer.from(output).subarray(8);
    expect(bytes.toString("latin1", 0, 3)).toBe("42\0");
    expect(bytes.toString("latin1", 8, 13)).toBe("none\0");
    expect(bytes.readBigInt64LE(16)).toBe(42n);
    expect(bytes.readBigInt64LE(24)).toBe(42n);
  });

  test("lists a directory and finds a number in a path", async () => {
    const { output } = await run((a) =>
      a
        .pokeText(SCRATCH.address, "/proc/self/fd")
        .list(SCRATCH.address)
        .pokeText(SCRATCH.address, "/proc/self/f?/[1-9]")
        .glob(SCRATCH.address, 0)
        .pokeSlot(SCRATCH.address, 8, 0)
        .peek(SCRATCH.address, 8),
    );
    const bytes = Buffer.from(output);
    expect(bytes.readInt32LE(0)).toBe(4); // and the directory itself, while it is read
    expect(bytes.toString("latin1", 8, 8 + bytes.readUInt32LE(4))).toBe("0\n1\n2\n3");
    expect(bytes.readBigInt64LE(bytes.length - 8)).toBe(1n);
  });

  test("says in which call a program hung, and keeps what it had done", async () => {
    const { status, output } = await run((a) => a.mark(1).syscall(SYS_CLOSE, 77).mark(2).syscall(SYS_PAUSE), {
      timeoutMs: 100,
    });
    expect(status).toMatchObject({ kind: "hung", mark: 2, killed: true });
    expect(results(output)).toEqual([-EBADF]);
  });

  test("says in which call a program died of a signal", async () => {
    const touched = await run((a) => a.mark(4).peek(NOTHING, 1));
    expect(touched.status).toEqual({ kind: "signal", signo: SIGSEGV, mark: 4 });
    const killed = await run((a) => a.syscall(SYS_GETPID).keep(0).mark(5).syscall(SYS_KILL, { slot: 0 }, SIGKILL));
    expect(killed.status).toEqual({ kind: "signal", signo: SIGKILL, mark: 5 });
  });

  test("has processes with memory of their own, and its descriptors", async () => {
    const { status, output } = await run((a) => {
      a.touchWrite(USER.address, 4, 1).fork(0).fork(1);
      a.by(0, () => a.touchWrite(USER.address, 4, 2));
      a.by(1, () => open(a, "/dev/null")).keep(0);
      a.syscall(SYS_CLOSE, { slot: 0 }).exit(1).touchRead(USER.address, 4);
      a.by(0, () => a.touchRead(USER.address, 4));
      a.by(0, () => a.syscall(SYS_GETPID)).syscall(SYS_GETPID);
    });
    expect(status).toEqual({ kind: "done" });
    const view = Buffer.from(output);
    // The store, both forks, the store of the first, what the second opened, what the program closed, and the end of the second.
    expect([view.readBigInt64LE(4), view.readBigInt64LE(12), view.readUInt32LE(20)]).toEqual([0n, 0n, 0]);
    expect([view.readBigInt64LE(24), view.readBigInt64LE(32), view.readBigInt64LE(40)]).toEqual([3n, 0n, 0n]);
    expect([view.readBigUInt64LE(52), view.readBigUInt64LE(64)]).toEqual([1n, 2n]);
    expect(view.readBigInt64LE(72)).not.toBe(view.readBigInt64LE(80));
  });

  test("says where a process of a program hung or died, and that is gone as well", async () => {
    const hung = await run(
      (a) =>
        a
          .fork(0)
          .mark(3)
          .by(0, () => a.syscall(SYS_PAUSE)),
      { timeoutMs: 100 },
    );
    expect(hung.status).toMatchObject({ kind: "hung", mark: 3, killed: true });
    const died = await run((a) =>
      a
        .fork(0)
        .mark(4)
        .by(0, () => {
          a.syscall(SYS_GETPID).keep(0).syscall(SYS_KILL, { slot: 0 }, SIGKILL);
        }),
    );
    expect(died.status).toEqual({ kind: "signal", signo: SIGKILL, mark: 4 });
  });

  test("cleans up in the janitor, with the slots of the program", async () => {
    const cleanup = code((a) => a.pokeSlot(SCRATCH.address, 8, 7).peek(SCRATCH.address, 8));
    const { output, cleanupOutput } = await run((a) => a.syscall(SYS_GETPID).keep(7).peek(NOTHING, 1), { cleanup });
    expect(results(cleanupOutput)).toEqual(results(output));
  });

  test("has a new janitor after one died or hung, and its files are closed", async () => {
    const died = await run((a) => a.mark(1).peek(NOTHING, 1), { inJanitor: true });
    expect(died.status).toEqual({ kind: "signal", signo: SIGSEGV, mark: 1 });
    const hung = await run((a) => a.mark(2).syscall(SYS_PAUSE), { inJanitor: true, timeoutMs: 100 });
    expect(hung.status).toMatchObject({ kind: "hung", mark: 2, killed: true });
    for (let i = 0; i < 2; i++) {
      const { status, output } = await run((a) => open(a, "/dev/null"), { inJanitor: true });
      expect(status).toEqual({ kind: "done" });
      expect(results(output)).toEqual([3n]);
    }
  });

  test.each([
    ["an unknown operation", [0xee]],
    ["an operation cut short", [0x01, 0x00]],
    ["a slot that is not there", [0x05, 0xff, 0xff]],
    ["a process that is not there", [0x17, 0x00]],
    ["a width that is not there", [0x06, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]],
    ["a skip beyond the end", [0x0b, 9, 0, 0, 0]],
    ["a system call of seven arguments", [0x04, 0, 0, 7, 0, ...new Array<number>(56).fill(0)]],
    ["more output than there is room for", [0x07, 0, 0, 0, 0, 0, 0x12, 0, 0, 0, 0, 0, 1]],
  ])("refuses %s, and says where", async (_, bytes) => {
    const mark = [0x0c, 1, 0, 0, 0];
    const result = await host.agent.runOne({ id: 1, code: Uint8Array.from([...mark, ...bytes]), timeoutMs: 5000 });
    expect(result.status).toEqual({ kind: "malformed", at: 5 });
  });

  test("answers many requests in order, from several runs at once", async () => {
    const requests = (first: number) =>
      Array.from({ length: 600 }, (_, i) => ({ id: first + i, code: code((a) => a.mark(i)), timeoutMs: 5000 }));
    const ids = async (first: number) => {
      const seen: number[] = [];
      for await (const result of host.agent.run(requests(first))) seen.push(result.id);
      return seen;
    };
    const [some, others] = await Promise.all([ids(0), ids(1000)]);
    expect(some).toEqual(requests(0).map((request) => request.id));
    expect(others).toEqual(requests(1000).map((request) => request.id));
  });

  test("when it is lost, says which requests were not answered", async () => {
    await using lost = await connectHost();
    const killer = code((a) => a.syscall(110).keep(0).syscall(SYS_KILL, { slot: 0 }, SIGKILL)); // getppid
    const requests = [
      { id: 1, code: new Uint8Array(), timeoutMs: 5000 },
      { id: 2, code: killer, timeoutMs: 5000 },
      { id: 3, code: new Uint8Array(), timeoutMs: 5000 },
    ];
    const error = await lost.agent.runOne({ id: 0, code: new Uint8Array(), timeoutMs: 5000 }).then(async () => {
      try {
        for await (const _ of lost.agent.run(requests));
      } catch (thrown) {
        return thrown;
      }
    });
    expect(error).toBeInstanceOf(TargetLost);
    if (error instanceof TargetLost) expect(error.unanswered.map((request) => request.id)).toContain(2);
  });

  test("a program that made no call has no mark", async () => {
    const { status } = await run((a) => a.peek(NOTHING, 1));
    expect(status).toMatchObject({ kind: "signal", mark: MARK_NONE });
  });

  test("writes only to /dev/null on its standard descriptors", async () => {
    const { output } = await run((a) =>
      a.poke(SCRATCH.address, Uint8Array.of(88)).syscall(SYS_WRITE, 1, SCRATCH.address, 1),
    );
    expect(results(output)).toEqual([1n]);
  });
});
