/** mtty as a program sees it: registers, the order of checks, and a card that is saved and resumed. */
import { describe, expect, it } from "vitest";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Call } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import { errnoName } from "../uapi/errno.ts";
import { STATE } from "../vfio/migration-states.ts";

const PORT = 0;
const CONFIG = 7 * 2 ** 40;

/** A machine on which the card is open as @device. */
function machine(version: string): Machine {
  const profile = PROFILES[version];
  if (!profile) throw new Error(`there is no profile ${version}`);
  const made = new Machine({ topology: REFERENCE_TOPOLOGY, profile });
  const value = (fd: string, request: string, number: number): Call => ({
    op: "ioctl",
    fd,
    request,
    arg: { kind: "value", value: number },
  });
  for (const call of [
    { op: "open", node: { kind: "container" }, as: "@container" },
    { op: "open", node: { kind: "group", device: "mtty0" }, as: "@group" },
    struct("@group", "VFIO_GROUP_SET_CONTAINER", { fd: "@container" }),
    value("@container", "VFIO_SET_IOMMU", 3),
    {
      op: "ioctl",
      fd: "@group",
      request: "VFIO_GROUP_GET_DEVICE_FD",
      arg: { kind: "name", device: "mtty0" },
      as: "@device",
    },
  ] satisfies Call[]) {
    made.step(call);
  }
  return made;
}

function struct(fd: string, request: string, fields: Record<string, number | string>, binds = {}): Call {
  return { op: "ioctl", fd, request, arg: { kind: "struct", struct: { fields } }, binds };
}

const setState = (state: number, session = "@session"): Call =>
  struct(
    "@device",
    "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE",
    { argsz: 16, flags: 0x2_0002, device_state: state },
    { data_fd: session },
  );
const write = (offset: number, ...bytes: number[]): Call => ({
  op: "pwrite",
  fd: "@device",
  count: bytes.length,
  offset,
  bytes,
});
const read = (offset: number, count = 1): Call => ({ op: "pread", fd: "@device", count, offset });

/** What the calls give: the bytes of a read, else a number or an errno's name. */
function results(on: Machine, ...calls: Call[]): unknown[] {
  return calls.map((call) => {
    const { ret } = on.step(call);
    if (ret < 0) return errnoName(-ret);
    return call.op === "pread" || call.op === "read" ? [...(on.outcome().bytes ?? []).slice(0, ret)] : ret;
  });
}

describe("a port of mtty", () => {
  it("gives back what was sent, first in first out", () => {
    const on = machine("6.1");
    expect(results(on, write(PORT, 0x41), write(PORT, 0x42), read(PORT), read(PORT), read(PORT))).toEqual([
      1,
      1,
      [0x41],
      [0x42],
      [0],
    ]);
  });

  it("loses what is sent to a full FIFO, and says so in its line status", () => {
    const on = machine("7.2");
    for (let i = 0; i < 17; i++) on.step(write(PORT, i));
    expect(results(on, read(5), read(PORT), write(PORT, 0x55), read(5))).toEqual([[0x03], [0], 1, [0x01]]);
  });

  it("has a register in each byte: the others of a wider access read as zero", () => {
    expect(results(machine("7.2"), write(7, 0x5a), read(4, 4), read(7))).toEqual([1, [0, 0, 0, 0], [0x5a]]);
  });

  it("ends where its region does", () => {
    const on = machine("7.2");
    expect(results(on, read(8), read(2 ** 40), read(CONFIG + 0xff), read(-1))).toEqual([
      "EFAULT",
      "EFAULT",
      "EFAULT",
      "EINVAL",
    ]);
  });
});

describe("a BAR of mtty", () => {
  it("tells its size to who writes all ones, and keeps that it is one of ports", () => {
    const on = machine("7.2");
    expect(results(on, write(CONFIG + 0x10, 0xff, 0xff, 0xff, 0xff), read(CONFIG + 0x10, 4))).toEqual([
      4,
      [0xf9, 0xff, 0xff, 0xff],
    ]);
  });

  it("is zero where the card has no such port", () => {
    expect(results(machine("7.2"), write(CONFIG + 0x14, 1, 2, 3, 4), read(CONFIG + 0x14, 4))).toEqual([
      4,
      [0, 0, 0, 0],
    ]);
  });
});

describe("a session of mtty", () => {
  const session = (count: number): Call => ({ op: "read", fd: "@session", count });

  it("brings a header, and the ports once the card was stopped", () => {
    const on = machine("7.2");
    on.step(setState(STATE.PRE_COPY));
    const [header, end] = results(on, session(256), session(256));
    expect([(header as number[]).length, end]).toEqual([24, "ENOMSG"]);
    on.step(setState(STATE.STOP_COPY, "@none"));
    const [ports, last] = results(on, session(256), session(256));
    expect([(ports as number[]).length, last]).toEqual([36, []]);
  });

  it("is handed out once, by the arc that begins it", () => {
    const on = machine("7.2");
    const begun = [STATE.PRE_COPY, STATE.PRE_COPY_P2P, STATE.STOP_COPY, STATE.STOP].map((state) => {
      on.step(setState(state));
      return on.resolve("@session") !== 0xffff_ffff;
    });
    expect(begun).toEqual([true, false, false, false]);
  });

  it("takes no more than a card's state, whatever else is wrong", () => {
    const on = machine("7.2");
    on.step(setState(STATE.RESUMING));
    const piece = (count: number, place?: "unmapped"): Call => ({
      op: "write",
      fd: "@session",
      count,
      ...(place ? { place } : {}),
    });
    expect(results(on, piece(61, "unmapped"), piece(60, "unmapped"), piece(24), piece(8))).toEqual([
      "ENOMEM",
      "EFAULT",
      "EFAULT",
      8,
    ]);
  });

  it("is not to be had before 6.7", () => {
    expect(results(machine("6.1"), setState(STATE.STOP))).toEqual(["ENOTTY"]);
  });
});

describe("VFIO_DEVICE_FEATURE", () => {
  const feature = (flags: number, argsz = 8): Call => struct("@device", "VFIO_DEVICE_FEATURE", { argsz, flags });
  const [GET, SET, PROBE] = [1 << 16, 1 << 17, 1 << 18];

  it("looks at the header first, then for the feature, then at what is to be done with it", () => {
    expect(
      results(
        machine("7.2"),
        feature(PROBE | 99, 7),
        feature((1 << 19) | 99),
        feature(GET | SET | 99),
        feature(99),
        feature(SET | 1),
        feature(PROBE | SET | 1),
        feature(1),
        feature(GET | 1),
        feature(PROBE | GET | 1),
      ),
    ).toEqual(["EINVAL", "EINVAL", "EINVAL", "ENOTTY", "EINVAL", "EINVAL", "EINVAL", "EINVAL", 0]);
  });
});

describe("a handle for what a struct brings", () => {
  it("is bound to nothing where the struct ends before the field", () => {
    const on = machine("7.2");
    const probe = { argsz: 16, flags: (1 << 18) | 2 };
    on.step({
      op: "ioctl",
      fd: "@device",
      request: "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE",
      arg: { kind: "struct", struct: { fields: probe, place: 9 } },
      binds: { data_fd: "@session" },
    });
    expect(on.resolve("@session")).toBe(-1);
  });
});
