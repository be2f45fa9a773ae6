/** Shrinking drops what depended on a call, rebinds what another call can stand in for, and ends 1-minimal. */
import { expect, test } from "vitest";
import type { Call, Program } from "../model/program.ts";
import { dropCalls, shrinkProgram } from "./shrink.ts";

const container = (as: string): Call => ({ op: "open", node: { kind: "container" }, as });
const group = (as: string): Call => ({ op: "open", node: { kind: "group", device: "edu0" }, as });
const set = (fd: string, to: string): Call => ({
  op: "ioctl",
  fd,
  request: "VFIO_GROUP_SET_CONTAINER",
  arg: { kind: "struct", struct: { fields: { fd: to } } },
});

test("a call that used a dropped handle takes another of the kind", () => {
  const calls = [container("@container0"), container("@container1"), group("@group2"), set("@group2", "@container1")];
  expect(dropCalls(calls, 1, 2)).toEqual([container("@container0"), group("@group2"), set("@group2", "@container0")]);
});

test("a call that has no other goes with what it needed", () => {
  const calls = [container("@container0"), group("@group1"), set("@group1", "@container0")];
  expect(dropCalls(calls, 0, 1)).toEqual([group("@group1")]);
});

test("what is left when every candidate is tried can lose no call", () => {
  const calls = [
    container("@container0"),
    group("@group1"),
    container("@container2"),
    set("@group1", "@container2"),
    { op: "close", fd: "@container0" } as const,
    { op: "probe", probe: { kind: "vms" } } as const,
  ];
  // Fails as long as a group is given a container.
  const fails = ({ calls: left }: Program): boolean =>
    left.some(
      (call) => call.op === "ioctl" && call.arg.kind === "struct" && typeof call.arg.struct.fields["fd"] === "string",
    );
  let smallest: Program = { machine: "reference", calls };
  for (let again = true; again; ) {
    again = false;
    for (const candidate of shrinkProgram(smallest)) {
      if (!fails(candidate)) continue;
      smallest = candidate;
      again = true;
      break;
    }
  }
  expect(smallest.calls.map(({ op }) => op).sort()).toEqual(["ioctl", "open", "open"]);
  for (let at = 0; at < 3; at++) {
    expect(fails({ ...smallest, calls: dropCalls(smallest.calls, at, at + 1) })).toBe(false);
  }
});

test("arguments go to their simplest", () => {
  const call: Call = {
    op: "ioctl",
    fd: -1,
    request: "VFIO_GROUP_GET_STATUS",
    arg: { kind: "struct", struct: { fields: { argsz: 8 }, place: "readonly", tail: [1] } },
  };
  const structs = [...shrinkProgram({ machine: "reference", calls: [call] })].flatMap(({ calls: [first] }) =>
    first?.op === "ioctl" && first.arg.kind === "struct" ? [first.arg.struct] : [],
  );
  expect(structs).toEqual([
    { fields: { argsz: 8 }, tail: [1] },
    { fields: { argsz: 8 }, place: "readonly" },
    { fields: {}, place: "readonly", tail: [1] },
  ]);
});
