import { describe, expect, it } from "vitest";
import { EventFile } from "../eventfd.ts";
import { ioctl, ioctlValue } from "../ioctl-calls.ts";
import { LockOrder } from "../kernel/lock.ts";
import { Unmodelled } from "../kernel/operation.ts";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Call, Fields, Value } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import { errnoName } from "../uapi/errno.ts";
import { IRQFD_FLAG } from "./irqfd.ts";

const VERSIONS = ["6.1", "6.12", "7.2"] as const;
type Version = (typeof VERSIONS)[number];

/** A machine with two VMs, `@vm` and `@vm1`, and two eventfds. */
function boot(version: Version = "7.2", order = new LockOrder()): Machine {
  const profile = PROFILES[version];
  if (!profile) throw new Error(`there is no profile ${version}`);
  const machine = new Machine({ topology: REFERENCE_TOPOLOGY, profile, order });
  machine.step({ op: "open", node: { kind: "kvm" }, as: "@kvm" });
  for (const as of ["@vm", "@vm1"]) machine.step({ ...ioctlValue("@kvm", "KVM_CREATE_VM"), as } as Call);
  for (const as of ["@eventfd", "@eventfd1"]) machine.step({ op: "eventfd", as });
  return machine;
}

/** The outcome as people write it: the number, or the errno. */
function outcome(machine: Machine, call: Call): number | string {
  const { ret } = machine.step(call);
  return ret < 0 ? errnoName(-ret) : ret;
}

const createIrqchip = ioctlValue("@vm", "KVM_CREATE_IRQCHIP");
const split = (vm: string): Call => ioctl(vm, "KVM_ENABLE_CAP", { cap: 121 });
const irqfd = (fd: Value, gsi: number, fields: Fields = {}, vm = "@vm"): Call =>
  ioctl(vm, "KVM_IRQFD", { fd, gsi, ...fields });
const end = (fd: Value, gsi: number): Call => irqfd(fd, gsi, { flags: IRQFD_FLAG.DEASSIGN });
const write = (fd: Value): Call => ({ op: "write", fd, count: 8, bytes: [1] });

/** What KVM_IRQ_LINE_STATUS tells. */
function status(machine: Machine, irq: number, level: 0 | 1): number {
  expect(outcome(machine, ioctl("@vm", "KVM_IRQ_LINE_STATUS", { irq, level }))).toBe(0);
  return new DataView(machine.block.buffer).getInt32(0, true);
}

function counted(machine: Machine, handle: string): bigint {
  const file = machine.fileOf(handle);
  if (!(file instanceof EventFile)) throw new Error(`${handle} is no eventfd`);
  return file.counter.count;
}

describe("the lines of a VM's chips", () => {
  it.each(VERSIONS)("tell who takes an interrupt on %s: 1 the PIC, 0 it is pending, -1 nobody", (version) => {
    const machine = boot(version);
    machine.step(createIrqchip);
    expect(status(machine, 5, 1)).toBe(1);
    expect(status(machine, 5, 0)).toBe(2);
    expect(status(machine, 5, 1)).toBe(0);
    expect(status(machine, 5, 1)).toBe(1);
    expect(status(machine, 20, 1)).toBe(-1);
    expect(status(machine, 20, 1)).toBe(0);
    expect(status(machine, 20, 0)).toBe(1);
    expect(status(machine, 24, 1)).toBe(-1);
  });

  it("have the second PIC's interrupts pending at the first", () => {
    const machine = boot();
    machine.step(createIrqchip);
    expect(status(machine, 12, 1)).toBe(1);
    expect(status(machine, 2, 1)).toBe(0);
  });

  it("are asserted as long as an irqfd that is resampled has them so", () => {
    const machine = boot();
    machine.step(createIrqchip);
    const resample = { flags: IRQFD_FLAG.RESAMPLE, resamplefd: "@eventfd1" };
    machine.step(irqfd("@eventfd", 20, resample));
    machine.step(write("@eventfd"));
    expect(() => machine.step(ioctl("@vm", "KVM_IRQ_LINE_STATUS", { irq: 20 }))).toThrow(Unmodelled);
    machine.step(irqfd("@eventfd1", 20, resample));
    machine.step(end("@eventfd", 20));
    // Asserted still: it lies with the I/O APIC, which has it masked.
    expect(status(machine, 20, 0)).toBe(0);
    machine.step(end("@eventfd1", 20));
    expect(status(machine, 20, 0)).toBe(1);
    expect(counted(machine, "@eventfd1")).toBe(0n);
  });
});

describe("an irqfd", () => {
  it("leads to the pin that its interrupt is routed to", () => {
    const machine = boot();
    machine.step(createIrqchip);
    const pin = { type_0: 1, u_0_0: 0, u_1_0: 7 };
    machine.step(ioctl("@vm", "KVM_SET_GSI_ROUTING", { nr: 1, gsi_0: 30, ...pin }));
    machine.step(irqfd("@eventfd", 30));
    machine.step(write("@eventfd"));
    machine.step(end("@eventfd", 30));
    machine.step(ioctl("@vm", "KVM_SET_GSI_ROUTING", { nr: 1, gsi_0: 31, ...pin }));
    expect(status(machine, 31, 1)).toBe(0);
    expect(status(machine, 30, 1)).toBe(-1);
  });

  it("comes before whoever waits for the eventfd", () => {
    const machine = boot();
    machine.step(split("@vm"));
    const file = machine.fileOf("@eventfd");
    if (!(file instanceof EventFile)) throw new Error("there is no eventfd");
    let heard = 0;
    file.counter.wait({ woken: () => ++heard > 0, hungUp() {} });
    machine.step(write("@eventfd"));
    machine.step(irqfd("@eventfd", 24));
    machine.step(write("@eventfd"));
    expect(heard).toBe(1);
    machine.step(end("@eventfd", 24));
    machine.step(write("@eventfd"));
    expect(heard).toBe(2);
  });

  it.each(VERSIONS)("on %s shares its eventfd with none of another VM from 6.17 on", (version) => {
    const machine = boot(version);
    for (const vm of ["@vm", "@vm1"]) machine.step(split(vm));
    expect(outcome(machine, irqfd("@eventfd", 24))).toBe(0);
    expect(outcome(machine, irqfd("@eventfd", 25))).toBe("EBUSY");
    expect(outcome(machine, irqfd("@eventfd", 25, {}, "@vm1"))).toBe(version === "7.2" ? "EBUSY" : 0);
  });

  it.each(VERSIONS)("takes no locks in two orders on %s", (version) => {
    const order = new LockOrder();
    const machine = boot(version, order);
    machine.step(createIrqchip);
    machine.step(ioctl("@vm", "KVM_SET_GSI_ROUTING", {}));
    machine.step(irqfd("@eventfd", 24));
    machine.step(end("@eventfd", 24));
    machine.exit();
    expect(order.cycles).toEqual([]);
  });
});
