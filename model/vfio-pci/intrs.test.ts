/** Interrupts of functions that the suite's machines have not, and what eventfds count, to the number. */
import { describe, expect, test } from "vitest";
import { getIrqInfo, read, throughContainer, write } from "../../scenarios/calls.ts";
import { adapter, end, raise, set, unmaskBy } from "../../scenarios/irq-calls.ts";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Call } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import type { FunctionSpec } from "../topology.ts";
import { errnoName } from "../uapi/errno.ts";
import { PCI_IRQ } from "../vfio/device-info.ts";

const { INTX, MSI, MSIX } = PCI_IRQ;

/** A machine whose functions differ in this; `last` gives the errno of the last call, or its value. */
function boot(version: string, change: Partial<FunctionSpec> = {}) {
  const profile = PROFILES[version];
  if (!profile) throw new Error(`there is no profile ${version}`);
  const functions = REFERENCE_TOPOLOGY.functions.map((spec) => ({ ...spec, ...change }));
  const machine = new Machine({ topology: { ...REFERENCE_TOPOLOGY, functions }, profile });
  const last = (...calls: readonly Call[]): string | number => {
    let ret = 0;
    for (const call of calls) ret = machine.step(call).ret;
    return ret < 0 ? errnoName(-ret) : ret;
  };
  /** What the last of the calls has left in memory. */
  const output = (...calls: readonly Call[]): DataView => {
    expect(last(...calls)).toBeGreaterThanOrEqual(0);
    return new DataView(machine.block.buffer, machine.block.byteOffset);
  };
  return { last, output };
}

describe.each(["6.1", "6.12", "7.2"])("a function on %s", (version) => {
  test("signals as often as it is raised", () => {
    const { output } = boot(version);
    const all = [...adapter, set(MSIX, ["@eventfd", "@eventfd", "@eventfd1"]), raise(MSIX, 3), raise(MSIX, 2)];
    expect(output(...all, read("@eventfd", { count: 8 })).getBigUint64(0, true)).toBe(4n);
  });

  test("takes what is written to the eventfd that unmasks it, and nothing that was there before", () => {
    const { last, output } = boot(version);
    const three = write("@eventfd1", [3, 0, 0, 0, 0, 0, 0, 0]);
    expect(last(...adapter, set(INTX, ["@eventfd"]), three, unmaskBy("@eventfd1"))).toBe(0);
    expect(output(read("@eventfd1", { count: 8 })).getBigUint64(0, true)).toBe(3n);
    expect(last(three, read("@eventfd1", { count: 8 }))).toBe("EAGAIN");
  });

  test("without a pin has no INTx", () => {
    const { last, output } = boot(version, { intx: false });
    const info = output(...throughContainer("edu0"), getIrqInfo("@device", INTX));
    expect(info.getUint32(12, true)).toBe(0);
    expect(last(set(INTX, [-1]))).toBe("EINVAL");
    expect(last(end(INTX))).toBe("EINVAL");
  });

  test("with several MSI vectors has those that MSI was put to use with", () => {
    const { last } = boot(version, { msi: 4 });
    expect(last(...adapter, set(MSI, ["@eventfd", "@eventfd1"]))).toBe(0);
    expect(last(set(MSI, ["@eventfd"], 2))).toBe("EINVAL");
    expect(last(set(MSI, [-1], 2))).toBe(version === "6.1" ? "EINVAL" : 0);
    expect(last(raise(MSI, 4))).toBe(version === "6.1" ? "EINVAL" : 0);
    expect(last(end(MSI), set(MSI, [-1], 3), set(MSI, ["@eventfd"], 2))).toBe(0);
  });
});
