/** Kernels in QEMU as targets. */
import { makeRom } from "../../model/pci/rom.ts";
import type { Version } from "../../model/uapi/version.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { AgentTarget, type Session } from "../on-agent.ts";
import { profileOf } from "../profile-of.ts";
import { tryRegisters } from "../registers.ts";
import { setUp } from "../setup.ts";
import type { TargetAbout } from "../target.ts";
import { type Hints, topologyOf } from "../topology-of.ts";
import { bootGuest } from "./boot.ts";
import { type QemuMachine, ROM_DEVICE } from "./machines.ts";
import { placeAnew } from "./placing.ts";
import { survey } from "./survey.ts";
import { withVirtual } from "./virtual.ts";

export interface QemuOptions {
  readonly kernel: Kernel;
  readonly machine: QemuMachine;
  readonly signal?: AbortSignal;
}

/**
 * Guest time: it does not pass while the host is busy, and jumps while the guest waits, so a call that never comes back is
 * found at once, and one that waits for a slow reset again and again is no hang.
 */
const TIMEOUT_MS = { plain: 300_000, debug: 900_000 } as const;
const MEMORY_MIB = { plain: 1024, debug: 2048 } as const;
const BOOT_MS = { plain: 120_000, debug: 300_000 } as const;

/** A tick of a debug kernel takes so many instructions that with more time for each it would do nothing else. */
const ICOUNT = { plain: 4, debug: 2 } as const;

/** Boots a kernel in a machine and makes it a target. */
export async function startQemu({ kernel, machine, signal }: QemuOptions): Promise<AgentTarget> {
  const { flavour } = kernel;
  const version: Version = `${kernel.version.major}.${kernel.version.minor}`;
  const profile = profileOf(version, kernel.config);
  const about: TargetAbout = {
    kind: "qemu",
    name: `Linux ${kernel.release} (${flavour}) in QEMU, machine ${machine.name}`,
    release: kernel.release,
    flavour,
    version,
    kconfig: [...profile.kconfig],
    notes: [`The kernel is ${kernel.name}, from ${kernel.sourceVersion}.`],
  };
  const start = async (): Promise<Session> => {
    const guest = await bootGuest({
      bzImage: kernel.bzImage,
      modules: kernel.modules,
      machine,
      memoryMiB: MEMORY_MIB[flavour],
      cpus: 1,
      icount: ICOUNT[flavour],
      bootMs: BOOT_MS[flavour],
      ...(signal ? { signal } : {}),
    });
    try {
      await placeAnew(guest.agent, machine.devices);
      const surveyed = await survey(guest.agent, machine.devices);
      const hints: Hints = {
        // QEMU's root ports do not bring the link back in the time that the kernel gives them.
        hotResetWorks: ({ bdf }) => machine.conventionalBridges.includes(bdf.slice(-4)),
        romOf: ({ name, vendor, device }) => (name === ROM_DEVICE.name ? makeRom(vendor, device) : null),
      };
      const found = topologyOf(machine.name, surveyed, hints);
      await setUp(guest.agent, found, flavour === "debug");
      const tried = await tryRegisters(guest.agent, found);
      const topology = await withVirtual(guest.agent, tried, machine.devices, hints);
      return {
        agent: guest.agent,
        topology,
        get console() {
          return guest.serial;
        },
        [Symbol.asyncDispose]: () => guest[Symbol.asyncDispose](),
      };
    } catch (cause) {
      await guest[Symbol.asyncDispose]();
      throw cause;
    }
  };
  return AgentTarget.start({ about, profile, timeoutMs: TIMEOUT_MS[flavour], start });
}
