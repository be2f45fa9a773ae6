/** Calls of several processes, as scenarios write them. */
import { PAGE } from "../model/kernel/memory-map.ts";
import type { Call } from "../model/program.ts";
import { gives, type Step } from "./scenario.ts";

/** KiB of a page, as probes tell. */
export const KIB = PAGE / 1024;

export const fork: Call = { op: "fork", as: "@process" };
export const exit: Call = { op: "exit", process: "@process" };
/** The same call, made by the process. */
export const by = (call: Call): Call => ({ ...call, by: "@process" });

export const lockOnePage: Call = { op: "prlimit", resource: "RLIMIT_MEMLOCK", soft: PAGE, hard: PAGE };
export const withoutLock: Call = { op: "capset", without: ["CAP_IPC_LOCK"] };
/** Counts in KiB, of the program and of the process. */
export const counts = (probe: Call, own: number, other: number): Step[] => [gives(own, probe), gives(other, by(probe))];
