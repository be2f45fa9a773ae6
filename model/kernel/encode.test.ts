/** Pointers of structs that lead into the program's own memory. */
import { expect, test } from "vitest";
import { ioctl } from "../ioctl-calls.ts";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Call, Fields } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import { ERRNO } from "../uapi/errno.ts";
import { MEMORY } from "./memory-map.ts";
import { Unmodelled } from "./operation.ts";

const END = MEMORY.userSize;
const own = (offset: number): bigint => MEMORY.user + BigInt(offset);
const put = (offset: number, value: number | bigint): Call => ({
  op: "store",
  at: MEMORY.user,
  offset,
  width: 8,
  value,
});

const profile = PROFILES["7.2"];
if (!profile) throw new Error("there is no profile of 7.2");

const machine = (): Machine => {
  const started = new Machine({ topology: REFERENCE_TOPOLOGY, profile });
  started.step({ op: "open", node: { kind: "iommufd" }, as: "@iommufd" });
  started.step(ioctl("@iommufd", "IOMMU_IOAS_ALLOC", { size: 12 }, { binds: { out_ioas_id: "@ioas" } }));
  return started;
};

const ask = (allowed_iovas: bigint): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_IOVA_RANGES", { size: 32, ioas_id: "@ioas", num_iovas: 8, allowed_iovas });
const allow = (fields: Fields): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_ALLOW_IOVAS", { size: 24, ioas_id: "@ioas", ...fields });

test("what a call writes there is loaded afterwards, across pages too", () => {
  const { k } = machine();
  const asking = machine();
  expect(asking.step(ask(own(4092))).ret).toBe(0);
  expect(asking.k.mm.load(own(4096), 4)).toBe(0n);
  expect(asking.k.mm.load(own(4100), 4)).toBe(0xffff_ffffn);
  expect(asking.k.mm.load(own(4104), 4)).toBe(0xffff_ffffn);
  expect(k.mm.load(own(4100), 4)).toBe(0n);
});

test("more ranges than a struct has room for are read from there", () => {
  const allowing = machine();
  const count = 300;
  for (let i = 0; i < count; i++) {
    allowing.step(put(16 * i, 0x2000 * i));
    allowing.step(put(16 * i + 8, 0x2000 * i + 0xfff));
  }
  expect(allowing.step(allow({ num_iovas: count, allowed_iovas: own(0) })).ret).toBe(0);
  expect(allowing.step(allow({ num_iovas: count + 1, allowed_iovas: own(0) })).ret).toBe(-ERRNO.EINVAL);
  allowing.step(put(END - 16, 0x1000));
  allowing.step(put(END - 8, 0x1fff));
  expect(allowing.step(allow({ num_iovas: 1, allowed_iovas: own(END - 16) })).ret).toBe(0);
  expect(allowing.step(allow({ num_iovas: 2, allowed_iovas: own(END - 16) })).ret).toBe(-ERRNO.EFAULT);
});

test("of what is written half into a hole nobody knows what it holds", () => {
  const asking = machine();
  expect(asking.step(ask(own(END - 8))).ret).toBe(-ERRNO.EFAULT);
  expect(() => asking.k.mm.load(own(END - 8), 8)).toThrow(Unmodelled);
  expect(asking.step(ask(own(END))).ret).toBe(-ERRNO.EFAULT);
});

test("memory that can only be read is not written", () => {
  const asking = machine();
  expect(asking.step(ask(MEMORY.userReadonly)).ret).toBe(-ERRNO.EFAULT);
  expect(asking.k.mm.load(MEMORY.userReadonly + 8n, 8)).toBe(0n);
});
