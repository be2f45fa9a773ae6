/**
 * What the caller may do: its effective capabilities and its limit on locked memory (kernel/capability.c, kernel/sys.c).
 *
 * Every target begins a program with all capabilities of root and with MEMLOCK_AT_START, so that limits are the same numbers
 * everywhere.
 */
import type { Capability } from "../program.ts";
import { clauses, must } from "./clause.ts";
import type { Kernel } from "./kernel.ts";

export const rule = clauses({
  "TASK-LIMIT-1": {
    rule: "a soft limit above the hard one is refused",
    errno: "EINVAL",
    source: "kernel/sys.c:do_prlimit",
  },
  "TASK-LIMIT-2": {
    rule: "only a caller with CAP_SYS_RESOURCE may raise a hard limit",
    errno: "EPERM",
    source: "kernel/sys.c:do_prlimit",
  },
});

/** Capabilities that programs give up and take again, by their numbers. */
export const CAPABILITIES: Readonly<Record<Capability, number>> = {
  CAP_IPC_LOCK: 14,
  CAP_SYS_RAWIO: 17,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_RESOURCE: 24,
};

/** Bytes of both limits on locked memory when a program begins: what Linux gives its first process. */
export const MEMLOCK_AT_START = 8 << 20;

const PAGE_SHIFT = 12n;

/** One bit per capability, as capset(2) has them. */
export function capabilityMask(of: readonly Capability[]): number {
  return of.reduce((mask, name) => mask | (1 << CAPABILITIES[name]), 0);
}

/** What of struct cred and struct signal_struct this API asks for. */
export class Credentials {
  /** Capabilities that are permitted and not effective, as bits. */
  withoutMask = 0;
  softMemlock = BigInt(MEMLOCK_AT_START);
  hardMemlock = BigInt(MEMLOCK_AT_START);
  /** rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT */
  memlockPages = MEMLOCK_AT_START >> Number(PAGE_SHIFT);

  /** What a process begins with that is made by one with these. */
  copy(): Credentials {
    return Object.assign(new Credentials(), this);
  }

  /** capable() */
  has(capability: Capability): boolean {
    return (this.withoutMask & (1 << CAPABILITIES[capability])) === 0;
  }
}

export const steps = {
  /** capset(2): everything that is permitted becomes effective, but these. */
  setCapabilities(k: Kernel, without: readonly Capability[]): void {
    k.task.credentials.withoutMask = capabilityMask(without);
  },

  /** prlimit64(2) on RLIMIT_MEMLOCK */
  setMemlock(k: Kernel, soft: bigint, hard: bigint): void {
    const { credentials } = k.task;
    must(soft <= hard, rule["TASK-LIMIT-1"]);
    must(hard <= credentials.hardMemlock || credentials.has("CAP_SYS_RESOURCE"), rule["TASK-LIMIT-2"]);
    credentials.softMemlock = soft;
    credentials.hardMemlock = hard;
    credentials.memlockPages = Number(soft >> PAGE_SHIFT);
  },
};
