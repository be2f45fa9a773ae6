import { expect, test } from "vitest";
import { printOutcome } from "../model/format/print.ts";
import { MOCK_START } from "../model/iommufd/selftest/mock-device.ts";
import { PAGE } from "../model/kernel/memory-map.ts";
import { PROFILES } from "../model/profile.ts";
import type { Call, Outcome, Program } from "../model/program.ts";
import { MOCK_TOPOLOGY, REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { ERRNO } from "../model/uapi/errno.ts";
import { map } from "../scenarios/calls.ts";
import { allocViommu, hwQueue, parent } from "../scenarios/viommu-calls.ts";
import { Assembler } from "../targets/agent/assembler.ts";
import { OutputReader } from "../targets/lower/decode.ts";
import { Lowering } from "../targets/lower/lower.ts";
import { ModelTarget } from "../targets/model.ts";
import { type Deviation, Ruined } from "./deviations/deviation.ts";
import { judge } from "./judge.ts";
import { examine } from "./problem.ts";

const profile = PROFILES["7.2"];
if (!profile) throw new Error("there is no profile 7.2");

const ranges: Call = {
  op: "ioctl",
  fd: "@iommufd0",
  request: "IOMMU_IOAS_IOVA_RANGES",
  arg: {
    kind: "struct",
    struct: { fields: { size: 32, ioas_id: "@ioas1", num_iovas: 4, allowed_iovas: { fields: { last_1: 7 } } } },
  },
};
const program: Program = {
  machine: "reference",
  calls: [
    { op: "open", node: { kind: "iommufd" }, as: "@iommufd0" },
    {
      op: "ioctl",
      fd: "@iommufd0",
      request: "IOMMU_IOAS_ALLOC",
      arg: { kind: "struct", struct: { fields: { size: 12 } } },
      binds: { out_ioas_id: "@ioas1" },
    },
    ranges,
  ],
};
const options = { topology: REFERENCE_TOPOLOGY, profile, deviations: [] };
const { outcomes } = new ModelTarget(REFERENCE_TOPOLOGY, profile).runNow(program);
const [opened, allocated, asked] = outcomes;
if (!opened || !allocated || !asked?.pointed?.[0]) throw new Error("the model did not answer");

test("what a struct points to is compared like the struct", () => {
  expect(judge(program, outcomes, options)).toMatchObject({ kind: "agrees", judged: 3 });
  for (const offset of [8, 63]) {
    const scribbled = Uint8Array.from(asked.pointed?.[0] ?? []);
    scribbled[offset] = 1;
    const seen: Outcome = { ...asked, pointed: [scribbled] };
    expect(judge(program, [opened, allocated, seen], options)).toMatchObject({
      kind: "differs",
      at: 2,
      part: "pointed",
      offset,
      expected: { pointed: asked.pointed },
    });
  }
});

test("a listing shows what was written behind a pointer, and no more", () => {
  expect(printOutcome(ranges, asked)).toBe(
    "0 {num_iovas=1, allowed_iovas={start_0=0, last_0=0xffffffffffffffff}, out_iova_alignment=1}",
  );
});

test("a target brings back every block that is mapped", () => {
  const place = (call: Call & { op: "ioctl" }, array: "null" | "readonly" | 24): Call => ({
    ...call,
    arg: { kind: "struct", struct: { fields: { allowed_iovas: { fields: {}, place: array } } } },
  });
  const lowering = new Lowering(new Assembler(), REFERENCE_TOPOLOGY);
  expect(lowering.call(ranges)).toEqual({ kind: "struct", length: 32, pointed: [64] });
  expect(lowering.call(place(ranges, "null"))).toEqual({ kind: "struct", length: 32, pointed: [0] });
  expect(lowering.call(place(ranges, "readonly"))).toEqual({ kind: "struct", length: 32, pointed: [64] });
  expect(lowering.call(place(ranges, 24))).toEqual({ kind: "struct", length: 32, pointed: [24] });

  const output = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5);
  const reader = new OutputReader(output);
  expect(reader.next({ kind: "struct", length: 2, pointed: [0, 3] })).toEqual({
    ret: 0,
    bytes: Uint8Array.of(1, 2),
    pointed: [Uint8Array.of(), Uint8Array.of(3, 4, 5)],
  });
  expect(new OutputReader(output).next({ kind: "struct", length: 2, pointed: [4] })).toBeUndefined();
});

test("a kernel is not blamed for what it does after a known deviation has ruined it", () => {
  const ruin: Deviation = {
    id: "ranges-ruin",
    title: "asking for ranges ruins the kernel",
    clause: "references-balance",
    since: "7.2",
    source: "",
    upstream: "",
    evidence: "",
    destructive: true,
    apply(k) {
      k.ioas = {
        ...k.ioas,
        allowedRanges() {
          throw new Ruined("what this kernel does next", "ranges-ruin");
        },
      };
    },
  };
  const end = { kind: "died", why: "The guest's kernel panicked.", console: "" } as const;
  const leaking = { program, outcomes, end: { kind: "done" }, log: "", leaks: ["VMs are still alive: 1-4."] } as const;
  const dead = { program, outcomes: [opened, allocated], end, log: "", leaks: [] };
  for (const run of [leaking, dead]) {
    expect(examine(run, options, []).problem).not.toBeNull();
    const knowing = examine(run, { ...options, deviations: [ruin] }, []);
    expect(knowing).toMatchObject({ problem: null, known: ["ranges-ruin"], verdict: { at: 2 } });
  }
});

test("a kernel that dies is not blamed where a deviation that calls do not tell of brings that about", () => {
  const perhaps: Deviation = {
    id: "set-missing",
    title: "a device may have no device set",
    clause: "ALLOC-1",
    since: "6.1",
    source: "",
    upstream: "",
    evidence: "",
    log: /NULL pointer dereference/,
    destructive: true,
    perhaps: true,
    apply(k) {
      const right = k.ioas.allowedRanges;
      k.ioas = {
        ...k.ioas,
        allowedRanges(ioas) {
          right(ioas);
          throw new Ruined("which device sets this kernel has made", "set-missing");
        },
      };
    },
  };
  const knowing = { ...options, deviations: [perhaps] };
  const end = { kind: "signal", call: 3, signal: 9 } as const;
  const calls = [...program.calls, { op: "probe", probe: { kind: "mdevs" } }] as const;
  const oops = "<1>BUG: kernel NULL pointer dereference, address: 0000000000000008";
  const dead = { program: { ...program, calls }, outcomes, end, log: oops, leaks: [] };
  expect(examine(dead, options, []).problem).not.toBeNull();
  expect(examine(dead, knowing, [])).toMatchObject({ problem: null, known: ["set-missing"], verdict: { at: 2 } });
  const hung = { ...dead, end: { kind: "hung", call: 3, stack: "vfio_group_fops_release" } } as const;
  expect(examine(hung, knowing, [])).toMatchObject({ problem: null, known: ["set-missing"], verdict: { at: 2 } });
  const other = { ...dead, log: "<1>BUG: unable to handle page fault for address: ffffc90000000000" };
  expect(examine(other, knowing, []).problem).not.toBeNull();
  const alive = { program, outcomes, end: { kind: "done" }, log: "", leaks: [] } as const;
  expect(examine(alive, knowing, [])).toMatchObject({ problem: null, known: [] });
});

test("a call that has to wait is no hang; one that has not is", () => {
  const unbind: Call = {
    op: "sysfs-write",
    attribute: { kind: "unbind", driver: "vfio-pci" },
    text: { device: "edu0" },
  };
  const open: Call = { op: "open", node: { kind: "group", device: "edu0" }, as: "@group0" };
  const end = { kind: "hung", call: 1, stack: "vfio_unregister_group_dev" } as const;
  const device: Call = { op: "open", node: { kind: "cdev", device: "edu0" }, as: "@device0" };
  const hang = (first: Call) =>
    examine(
      { program: { machine: "reference", calls: [first, unbind] }, outcomes: [{ ret: 3 }], end, log: "", leaks: [] },
      options,
      [],
    );
  expect(hang(device)).toMatchObject({ problem: null, verdict: { kind: "not-comparable", at: 1, waits: true } });
  expect(hang(open)).toMatchObject({ problem: { kind: "hang", at: 1 } });
});

/** A mediated device that there was too little memory for, as a target was seen to answer. */
const create: Call = {
  op: "sysfs-write",
  attribute: { kind: "mdev-create", parent: "mtty", type: "mtty-1" },
  text: { device: "mdev0" },
  failNth: 40,
};
const mdevs: Call = { op: "probe", probe: { kind: "mdevs" } };
const runOut = (made: Outcome, seen: Outcome) =>
  judge({ machine: "reference", calls: [create, mdevs] }, [made, seen], options);
const standing = REFERENCE_TOPOLOGY.mdevs.flatMap(({ uuid, standing: stands }) => (stands ? [uuid] : [])).sort();
const none: Outcome = { ret: standing.length, text: standing.join("\n") };

test("a call whose allocation failed may be refused, whichever it was, or done; in between there is nothing", () => {
  const made = new ModelTarget(REFERENCE_TOPOLOGY, profile).runNow({ machine: "reference", calls: [create, mdevs] });
  const one = made.outcomes[1] ?? { ret: 0 };
  expect(runOut({ ret: -12, failed: true }, none).kind).toBe("agrees");
  expect(runOut({ ret: 36, failed: true }, one).kind).toBe("agrees");
  expect(runOut({ ret: 36, failed: false }, one).kind).toBe("agrees");
  expect(runOut({ ret: -12, failed: true }, one)).toMatchObject({ kind: "differs", at: 1 });
  expect(runOut({ ret: 36, failed: true }, none)).toMatchObject({ kind: "differs", at: 1 });
});

test("without a failed allocation, or with another errno, it must answer as ever", () => {
  expect(runOut({ ret: -12, failed: false }, none)).toMatchObject({ kind: "differs", at: 0 });
  expect(runOut({ ret: -22, failed: true }, none)).toMatchObject({ kind: "differs", at: 0 });
});

test("closing never runs out", () => {
  const close: Program = { machine: "reference", calls: [{ op: "close", fd: 0, failNth: 1 }] };
  expect(judge(close, [{ ret: 0, failed: true }], options).kind).toBe("agrees");
  expect(judge(close, [{ ret: -12, failed: true }], options)).toMatchObject({ kind: "differs", expected: { ret: 0 } });
});

test("the hooks of iommufd's test count as failed allocations, where the kernel has them", () => {
  const short: Program = { ...program, calls: [program.calls[0], { ...ranges, failNth: 1 }].filter((call) => !!call) };
  const hooked = [opened, { ret: -22, failed: true }];
  expect(judge(short, hooked, options).kind).toBe("agrees");
  const kconfig = new Set([...profile.kconfig].filter((option) => option !== "IOMMUFD_TEST"));
  const plain = { ...options, profile: { ...profile, kconfig } };
  expect(judge(short, hooked, plain)).toMatchObject({ kind: "differs", at: 1 });
});

test("a page table that iommufd's test made seem unfit is passed over, and another made", () => {
  const mock: Call = {
    op: "ioctl",
    fd: "@iommufd0",
    request: "IOMMU_TEST_OP_MOCK_DOMAIN",
    arg: { kind: "struct", struct: { fields: { size: 72, op: 2, id: "@ioas1" } } },
    failNth: 76,
  };
  const calls = [...program.calls.slice(0, 2), mock, mock];
  const options = { topology: MOCK_TOPOLOGY, profile, deviations: [] };
  const { outcomes } = new ModelTarget(MOCK_TOPOLOGY, profile).runNow({
    machine: "mock",
    calls: calls.map(({ failNth: _, ...call }) => call),
  });
  const answered = outcomes.map((outcome) => ({ ...outcome, failed: false }));
  const again = answered[3]?.bytes?.slice() ?? new Uint8Array();
  new DataView(again.buffer).setUint32(20, 9, true);
  const end = (failed: boolean, bytes: Uint8Array | undefined) =>
    judge(
      { machine: "mock", calls },
      [...answered.slice(0, 3), { ret: 0, failed, ...(bytes ? { bytes } : {}) }],
      options,
    );
  expect(end(true, answered[3]?.bytes).kind).toBe("agrees");
  expect(end(true, again).kind).toBe("agrees");
  expect(end(false, again)).toMatchObject({ kind: "differs", at: 3 });
});

test("an invalid call whose allocation failed may have been refused for what is wrong with it", () => {
  // Unmapping nothing is ENOENT, as a hook would have it; what matters is that the target's next answers fit one of both.
  const unmap: Call = {
    op: "ioctl",
    fd: "@iommufd0",
    request: "IOMMU_IOAS_UNMAP",
    arg: { kind: "struct", struct: { fields: { size: 24, ioas_id: "@ioas1", iova: 4096, length: 4096 } } },
    failNth: 1,
  };
  const calls = [...program.calls.slice(0, 2), unmap];
  expect(judge({ machine: "reference", calls }, [opened, allocated, { ret: -2, failed: true }], options).kind).toBe(
    "agrees",
  );
});

test("whether pages are in one piece is the kernel's luck, but the same of the same pages while they stay in place", () => {
  const pages = (index: number): Call => hwQueue(index, MOCK_START, 2 * PAGE);
  const before = [...parent, allocViommu("@parent"), map("@iommufd", "@ioas", MOCK_START, 2 * PAGE)];
  const queues: Program = { machine: "mock", calls: [...before, pages(0), pages(1)] };
  const seen = new ModelTarget(MOCK_TOPOLOGY, profile).runNow(queues).outcomes;
  const judged = (first: number, second: number): string => {
    const made = seen.slice(0, before.length);
    const both = [first, second].map((ret, i): Outcome => {
      const bytes = Uint8Array.from(seen[before.length + i]?.bytes ?? []);
      // What is refused brings no id.
      if (ret < 0) bytes.fill(0, 20, 24);
      return { ret, bytes };
    });
    return judge(queues, [...made, ...both], { ...options, topology: MOCK_TOPOLOGY }).kind;
  };
  expect(judged(0, 0)).toBe("agrees");
  expect(judged(-ERRNO.EFAULT, -ERRNO.EFAULT)).toBe("agrees");
  expect(judged(-ERRNO.EFAULT, -ERRNO.EIO)).toBe("agrees");
  expect(judged(-ERRNO.ENOMEM, -ERRNO.EIO)).toBe("differs");
  expect(judged(0, -ERRNO.EFAULT)).toBe("differs");
});
