/** The adapter's interrupt registers: what is foreseen is what comes about, and what nobody knows is said. */
import { expect, test } from "vitest";
import { Unmodelled } from "../kernel/operation.ts";
import { E1000e } from "./e1000e.ts";

const { CAUSE, CAUSE_SET, MASK_SET, MASK_CLEAR, VECTORS } = E1000e.REGISTER;
const { ALL } = E1000e;
const [RECEIVE0, RECEIVE1] = [1 << 20, 1 << 21];

/** Stores to a register; the vectors whose messages are sent. */
function store(adapter: E1000e, at: number, value: number): readonly number[] {
  const stored = { at, width: 4, value: BigInt(value) } as const;
  adapter.foresee(0, [stored]);
  return adapter.write(0, stored);
}

function cleared(how: "line" | "msi" | "msix"): E1000e {
  const adapter = new E1000e();
  adapter.signalBy(how);
  store(adapter, MASK_CLEAR, ALL);
  store(adapter, CAUSE, ALL);
  return adapter;
}

test("what a reset leaves is not told until it was cleared, the mask before all", () => {
  const adapter = new E1000e();
  expect(() => store(adapter, CAUSE, ALL)).toThrow(Unmodelled);
  store(adapter, MASK_CLEAR, ALL);
  expect(() => store(adapter, CAUSE_SET, RECEIVE0)).toThrow(Unmodelled);
  store(adapter, CAUSE, ALL);
  store(adapter, CAUSE_SET, RECEIVE0);
  adapter.disturb();
  expect(() => store(adapter, MASK_SET, RECEIVE0)).toThrow(Unmodelled);
});

test("the line is pulled while a cause is allowed, and after a reset nobody knows", () => {
  const adapter = cleared("line");
  store(adapter, CAUSE_SET, RECEIVE0);
  expect(adapter.line).toBe(false);
  store(adapter, MASK_SET, RECEIVE0);
  expect(adapter.line).toBe(true);
  adapter.read(0, CAUSE, 4);
  expect(adapter.line).toBe(false);
  store(adapter, CAUSE_SET, RECEIVE0);
  adapter.disturb();
  expect(adapter.line).toBeNull();
  store(adapter, MASK_CLEAR, ALL);
  expect(adapter.line).toBe(false);
});

test("a message is sent for what is new", () => {
  const adapter = cleared("msi");
  store(adapter, MASK_SET, RECEIVE0 | RECEIVE1);
  expect(store(adapter, CAUSE_SET, RECEIVE0)).toEqual([0]);
  expect(store(adapter, CAUSE_SET, RECEIVE0)).toEqual([]);
  expect(store(adapter, CAUSE_SET, RECEIVE0 | RECEIVE1)).toEqual([0]);
  expect(store(adapter, MASK_CLEAR, RECEIVE1)).toEqual([]);
  expect(store(adapter, MASK_SET, RECEIVE1)).toEqual([0]);
});

test("each cause has its vector, and one vector does not fire twice at once", () => {
  const adapter = cleared("msix");
  store(adapter, MASK_SET, RECEIVE0 | RECEIVE1);
  expect(() => store(adapter, CAUSE_SET, RECEIVE0)).toThrow(Unmodelled);
  store(adapter, VECTORS, 0x9c);
  expect(store(adapter, CAUSE_SET, RECEIVE0 | RECEIVE1)).toEqual([4, 1]);
  adapter.read(0, CAUSE, 4);
  expect(store(adapter, CAUSE_SET, RECEIVE0)).toEqual([]);
  store(adapter, CAUSE, ALL);
  store(adapter, VECTORS, 0x99);
  expect(() => store(adapter, CAUSE_SET, RECEIVE0 | RECEIVE1)).toThrow(Unmodelled);
});

test("other registers, other widths and several stores at once are nobody's to tell", () => {
  const adapter = cleared("line");
  const foresee = (...stores: Parameters<E1000e["foresee"]>[1]) => adapter.foresee(0, stores);
  expect(() => foresee({ at: 0, width: 4, value: 0n })).toThrow(Unmodelled);
  expect(() => foresee({ at: CAUSE_SET, width: 8, value: 0n })).toThrow(Unmodelled);
  expect(() => foresee({ at: CAUSE_SET, width: 4, value: 1n })).toThrow(Unmodelled);
  const ask = { at: CAUSE_SET, width: 4, value: BigInt(RECEIVE0) } as const;
  expect(() => foresee(ask, ask)).toThrow(Unmodelled);
  expect(() => adapter.foresee(2, [ask])).toThrow(Unmodelled);
});
