/** Every allocation of a call can fail, one after the other, and none leaves anything behind. */
import { describe, expect, it } from "vitest";
import { fingerprint } from "../../properties/invariants/fingerprint.ts";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Call } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";

const profile = PROFILES["7.2"];
if (!profile) throw new Error("there is no profile 7.2");

const struct = (fields: Record<string, number | string | bigint>) => ({ kind: "struct", struct: { fields } }) as const;
const openCdev = (device: string): Call => ({ op: "open", node: { kind: "cdev", device }, as: "@device" });
const openIommufd: Call = { op: "open", node: { kind: "iommufd" }, as: "@iommufd" };
const bind: Call = {
  op: "ioctl",
  fd: "@device",
  request: "VFIO_DEVICE_BIND_IOMMUFD",
  arg: struct({ argsz: 16, iommufd: "@iommufd" }),
};
const allocIoas: Call = {
  op: "ioctl",
  fd: "@iommufd",
  request: "IOMMU_IOAS_ALLOC",
  arg: struct({ size: 12 }),
  binds: { out_ioas_id: "@ioas" },
};
const map: Call = {
  op: "ioctl",
  fd: "@iommufd",
  request: "IOMMU_IOAS_MAP",
  arg: struct({ size: 40, flags: 6, ioas_id: "@ioas", user_va: 0x1200_0000_0000, length: 4096 }),
};
const attach: Call = {
  op: "ioctl",
  fd: "@device",
  request: "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
  arg: struct({ argsz: 12, pt_id: "@ioas" }),
};
const createMdev: Call = {
  op: "sysfs-write",
  attribute: { kind: "mdev-create", parent: "mtty", type: "mtty-2" },
  text: { device: "mdev0" },
};

/** Machine after these calls, all of which must have succeeded. */
function after(calls: readonly Call[]): Machine {
  const machine = new Machine({
    topology: REFERENCE_TOPOLOGY,
    profile: profile ?? { version: "7.2", kconfig: new Set() },
  });
  for (const call of calls) expect(machine.step(call).ret).toBeGreaterThanOrEqual(0);
  return machine;
}

/** How many allocations of a call fail before it succeeds; after each the machine is as it was. */
function failures(before: readonly Call[], call: Call): number {
  const machine = after(before);
  const was = fingerprint(machine);
  for (let failNth = 1; ; failNth++) {
    const { ret, failed } = machine.step({ ...call, failNth });
    if (!failed) {
      expect(ret).toBeGreaterThanOrEqual(0);
      return failNth - 1;
    }
    expect(ret).toBe(-12);
    expect(fingerprint(machine)).toBe(was);
  }
}

describe("a call that runs out of memory leaves nothing behind", () => {
  it.each<[string, number, readonly Call[], Call]>([
    ["open of an iommufd", 2, [], openIommufd],
    ["open of a device's node", 2, [], openCdev("edu0")],
    ["BIND of a function", 3, [openIommufd, openCdev("edu0")], bind],
    ["BIND of an emulated device", 1, [openIommufd, openCdev("mtty0")], bind],
    ["IOAS_ALLOC", 1, [openIommufd], allocIoas],
    ["IOAS_MAP while a device is attached", 3, [openIommufd, openCdev("edu0"), bind, allocIoas, attach], map],
    ["ATTACH to an IOAS that holds a mapping", 4, [openIommufd, openCdev("edu0"), bind, allocIoas, map], attach],
    ["making a mediated device", 4, [], createMdev],
  ])("%s: %i allocations", (_name, count, before, call) => {
    expect(failures(before, call)).toBe(count);
  });
});

it("a close never runs out, however it is asked", () => {
  const machine = after([openIommufd]);
  expect(machine.step({ op: "close", fd: "@iommufd", failNth: 1 })).toMatchObject({ ret: 0, failed: false });
});

it("a name keeps what it has where the same call fails the next time", () => {
  const machine = after([openIommufd]);
  const fd = machine.resolve("@iommufd");
  expect(machine.step({ ...openIommufd, failNth: 1 }).ret).toBe(-12);
  expect(machine.resolve("@iommufd")).toBe(fd);
});
