/** Processes that a program makes: memory of their own, and the program's descriptors. */
import { expect, test } from "vitest";
import { ioctl, ioctlValue } from "../ioctl-calls.ts";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Call } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import { MEMORY } from "./memory-map.ts";
import { Unmodelled } from "./operation.ts";

const profile = PROFILES["7.2"];
if (!profile) throw new Error("there is no profile of 7.2");

const begin = (): Machine => new Machine({ topology: REFERENCE_TOPOLOGY, profile });
const fork: Call = { op: "fork", as: "@process" };
const by = (call: Call): Call => ({ ...call, by: "@process" });
const put = (value: number): Call => ({ op: "store", at: MEMORY.user, offset: 0, width: 8, value });
/** What a word holds, for whoever loads it. */
const held = (machine: Machine, call: Call = { op: "load", at: MEMORY.user, offset: 0, width: 8 }): number => {
  machine.step(call);
  return Number(new DataView(machine.block.buffer).getBigUint64(0, true));
};
const heldBy = (machine: Machine): number => held(machine, by({ op: "load", at: MEMORY.user, offset: 0, width: 8 }));

test("a process begins with what the program's memory holds, and neither sees what the other writes", () => {
  const machine = begin();
  for (const call of [put(1), fork, put(2)]) machine.step(call);
  expect([held(machine), heldBy(machine)]).toEqual([2, 1]);
  machine.step(by(put(3)));
  expect([held(machine), heldBy(machine)]).toEqual([2, 3]);
});

test("what a process opens and names is the program's as well", () => {
  const machine = begin();
  machine.step({ op: "open", node: { kind: "iommufd" }, as: "@iommufd" });
  machine.step(fork);
  machine.step(by(ioctl("@iommufd", "IOMMU_IOAS_ALLOC", { size: 12 }, { binds: { out_ioas_id: "@ioas" } })));
  expect(machine.step(ioctl("@iommufd", "IOMMU_DESTROY", { size: 8, id: "@ioas" })).ret).toBe(0);
});

test("one that has ended leaves its calls to the program", () => {
  const machine = begin();
  for (const call of [put(1), fork, by(put(2))]) machine.step(call);
  machine.step({ op: "exit", process: "@process" });
  expect(heldBy(machine)).toBe(1);
  expect(machine.step({ op: "exit", process: "@process" }).ret).toBe(0);
});

test("what the program maps afterwards is not in the memory of a process", () => {
  const machine = begin();
  const mapped: Call = { op: "mmap", fd: "@memfd", length: 4096, prot: 3, offset: 0, as: "@mapping" };
  for (const call of [{ op: "memfd", size: 4096, as: "@memfd" } as const, fork, mapped]) machine.step(call);
  const answer = machine.step(by({ op: "load", at: "@mapping", offset: 0, width: 4 }));
  expect(answer.refusedBy?.id).toBe("VFS-MMAP-2");
});

test("a process that would have the program's mappings of files has no answer", () => {
  const machine = begin();
  const calls: readonly Call[] = [
    { op: "open", node: { kind: "group", device: "edu0" }, as: "@group" },
    { op: "open", node: { kind: "container" }, as: "@container" },
    ioctl("@group", "VFIO_GROUP_SET_CONTAINER", { fd: "@container" }),
    ioctlValue("@container", "VFIO_SET_IOMMU", 3),
    {
      op: "ioctl",
      fd: "@group",
      request: "VFIO_GROUP_GET_DEVICE_FD",
      arg: { kind: "name", device: "edu0" },
      as: "@device",
    },
    { op: "mmap", fd: "@device", length: 4096, prot: 1, offset: 0 },
  ];
  for (const call of calls) expect(machine.step(call).ret).toBeGreaterThanOrEqual(0);
  expect(() => machine.step(fork)).toThrow(Unmodelled);
});
