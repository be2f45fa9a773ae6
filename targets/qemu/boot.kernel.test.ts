/** Boots a real kernel: 7.2, plain, from the cache or built first. */
import { beforeAll, describe, expect, test } from "vitest";
import { Assembler } from "../agent/assembler.ts";
import { TargetLost } from "../agent/connection.ts";
import { SCRATCH } from "../agent/layout.ts";
import { ensureKernel } from "../kernel/build.ts";
import { type BootOptions, bootGuest } from "./boot.ts";
import { IOMMU_MACHINE, MOCK_MACHINE, type QemuMachine } from "./machines.ts";
import { survey } from "./survey.ts";

let bzImage = "";

beforeAll(async () => {
  ({ bzImage } = await ensureKernel(
    { kind: "release", version: "7.2", flavour: "plain" },
    () => {},
    new AbortController().signal,
  ));
});

const options = (machine: QemuMachine): BootOptions => ({
  bzImage,
  modules: [],
  machine,
  memoryMiB: 1024,
  cpus: 1,
  icount: 4,
});

describe("a guest", () => {
  test("has the machine's devices, in the groups the machine promises", async () => {
    await using guest = await bootGuest(options(IOMMU_MACHINE));
    expect(guest.agent.handshake).toMatchObject({ isInit: true, firstFd: 3, kernelLog: true });
    const { devices, cmdline } = await survey(guest.agent, IOMMU_MACHINE.devices);
    expect(cmdline).toContain("intel_iommu=on");
    expect(devices.map((device) => device.name)).toEqual(IOMMU_MACHINE.devices.map((device) => device.name));
    const group = Object.fromEntries(devices.map((device) => [device.name, device.iommuGroup]));
    expect(group["nic0.0"]).toBeTypeOf("number");
    expect(group["nic0.1"]).toBe(group["nic0.0"]);
    expect(group["bridged1"]).toBe(group["bridged0"]);
    expect(new Set(Object.values(group)).size).toBe(4);
    for (const device of devices) expect(Buffer.from(device.config).readUInt16LE(0)).toBe(device.vendor);
  });

  test("without an IOMMU puts no device in a group", async () => {
    await using guest = await bootGuest(options(MOCK_MACHINE));
    const { devices } = await survey(guest.agent, MOCK_MACHINE.devices);
    expect(devices.map((device) => device.iommuGroup)).toEqual(MOCK_MACHINE.devices.map(() => undefined));
  });

  test("returns the kernel's log with the program that caused it", async () => {
    await using guest = await bootGuest(options(MOCK_MACHINE));
    const write = (path: string, text: string) => {
      const path_ = SCRATCH.address;
      const bytes = SCRATCH.address + 4096;
      return new Assembler()
        .pokeText(path_, path)
        .poke(bytes, Buffer.from(text))
        .syscall(257, -100, path_, 1)
        .keep(0)
        .syscall(1, { slot: 0 }, bytes, text.length)
        .finish();
    };
    const logged = await guest.agent.runOne({ id: 1, code: write("/dev/kmsg", "<4>hello\n"), timeoutMs: 5000 });
    expect(logged.log).toContain("<4>hello\n");
    const after = await guest.agent.runOne({ id: 2, code: new Uint8Array(), timeoutMs: 5000 });
    expect(after.log).not.toContain("hello");
  });

  test("that turns itself off is lost, with the program that did it", async () => {
    await using guest = await bootGuest(options(MOCK_MACHINE));
    const RESTART_MAGIC = [0xfee1dead, 0x28121969, 0x4321fedc]; // and the command to power off
    const code = new Assembler().syscall(169, ...RESTART_MAGIC).finish();
    const error = await guest.agent.runOne({ id: 3, code, timeoutMs: 5000 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TargetLost);
    expect(error).toMatchObject({ message: "The guest turned itself off.", unanswered: [{ id: 3 }] });
  });

  test("whose kernel panics does not boot, and the reason is the kernel's", async () => {
    const booting = bootGuest({ ...options(MOCK_MACHINE), append: "rdinit=/nowhere" });
    await expect(booting).rejects.toThrow(/^The guest did not boot. The guest's kernel panicked: VFS/);
  });
});

describe("a guest that cannot be", () => {
  test("for want of a kernel is refused before QEMU is called", async () => {
    await expect(bootGuest({ ...options(MOCK_MACHINE), bzImage: "/nowhere/bzImage" })).rejects.toThrow(
      "There is no kernel at /nowhere/bzImage.",
    );
  });
});
