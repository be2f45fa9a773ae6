/** What a program changes about what it may do, and what then refuses it. */
import { expect, test } from "vitest";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Capability } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import { errnoName } from "../uapi/errno.ts";

const INFINITE = (1n << 64n) - 1n;

function bench() {
  const profile = PROFILES["7.2"];
  if (!profile) throw new Error("there is no profile 7.2");
  const machine = new Machine({ topology: REFERENCE_TOPOLOGY, profile });
  const { credentials } = machine.k.task;
  return {
    credentials,
    capset: (...without: Capability[]) => machine.step({ op: "capset", without }).ret,
    prlimit: (soft: number | bigint, hard: number | bigint): string => {
      const { ret } = machine.step({ op: "prlimit", resource: "RLIMIT_MEMLOCK", soft, hard });
      return ret < 0 ? errnoName(-ret) : "0";
    },
  };
}

test("a program begins with everything and may lock 8 MiB", () => {
  const { credentials } = bench();
  expect(credentials.has("CAP_IPC_LOCK")).toBe(true);
  expect(credentials.memlockPages).toBe(2048);
});

test("capabilities that are left out come back when they are not", () => {
  const { credentials, capset } = bench();
  expect(capset("CAP_IPC_LOCK", "CAP_SYS_ADMIN")).toBe(0);
  expect(credentials.has("CAP_IPC_LOCK")).toBe(false);
  expect(credentials.has("CAP_SYS_RAWIO")).toBe(true);
  capset();
  expect(credentials.has("CAP_IPC_LOCK")).toBe(true);
});

test("a limit counts whole pages, and a refused one changes nothing", () => {
  const { credentials, prlimit } = bench();
  expect(prlimit(3 * 4096 - 1, INFINITE)).toBe("0");
  expect(credentials.memlockPages).toBe(2);
  expect(prlimit(4097, 4096)).toBe("EINVAL");
  expect(credentials.memlockPages).toBe(2);
});

test("a hard limit is only raised with CAP_SYS_RESOURCE; soft above hard is looked at first", () => {
  const { capset, prlimit } = bench();
  capset("CAP_SYS_RESOURCE");
  expect(prlimit(INFINITE, 16 << 20)).toBe("EINVAL");
  expect(prlimit(0, 16 << 20)).toBe("EPERM");
  expect(prlimit(0, 4096)).toBe("0");
  expect(prlimit(0, 8 << 20)).toBe("EPERM");
  capset();
  expect(prlimit(0, 8 << 20)).toBe("0");
});
