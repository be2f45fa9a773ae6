import { describe, expect, it } from "vitest";
import { MIGRATION, type MigrationState, nextState, pathBetween, STATE } from "./migration-states.ts";

const NAMES = new Map<MigrationState, string>(Object.entries(STATE).map(([name, number]) => [number, name]));

/** Every way that takes more than one arc, as the kernel's own comments list them. */
function combinations(flags: number): string[] {
  const ways: string[] = [];
  for (const from of Object.values(STATE)) {
    for (const to of Object.values(STATE)) {
      const path = from === to ? undefined : pathBetween(flags, from, to);
      if (path && path.length > 1) ways.push([from, ...path].map((state) => NAMES.get(state)).join(" > "));
    }
  }
  return ways.sort();
}

const { STOP_COPY, P2P, PRE_COPY } = MIGRATION;

describe("the way from one migration state to another", () => {
  it("goes by the arcs that vfio_mig_get_next_state() lists, for a device that can do everything", () => {
    expect(combinations(STOP_COPY | P2P | PRE_COPY)).toEqual(
      [
        "PRE_COPY > PRE_COPY_P2P > STOP_COPY",
        "PRE_COPY > RUNNING > RUNNING_P2P",
        "PRE_COPY > RUNNING > RUNNING_P2P > STOP",
        "PRE_COPY > RUNNING > RUNNING_P2P > STOP > RESUMING",
        "PRE_COPY_P2P > RUNNING_P2P > RUNNING",
        "PRE_COPY_P2P > RUNNING_P2P > STOP",
        "PRE_COPY_P2P > RUNNING_P2P > STOP > RESUMING",
        "RESUMING > STOP > RUNNING_P2P",
        "RESUMING > STOP > RUNNING_P2P > PRE_COPY_P2P",
        "RESUMING > STOP > RUNNING_P2P > RUNNING",
        "RESUMING > STOP > RUNNING_P2P > RUNNING > PRE_COPY",
        "RESUMING > STOP > STOP_COPY",
        "RUNNING > RUNNING_P2P > PRE_COPY_P2P",
        "RUNNING > RUNNING_P2P > STOP",
        "RUNNING > RUNNING_P2P > STOP > RESUMING",
        "RUNNING > RUNNING_P2P > STOP > STOP_COPY",
        "RUNNING_P2P > RUNNING > PRE_COPY",
        "RUNNING_P2P > STOP > RESUMING",
        "RUNNING_P2P > STOP > STOP_COPY",
        "STOP > RUNNING_P2P > PRE_COPY_P2P",
        "STOP > RUNNING_P2P > RUNNING",
        "STOP > RUNNING_P2P > RUNNING > PRE_COPY",
        "STOP_COPY > STOP > RESUMING",
        "STOP_COPY > STOP > RUNNING_P2P",
        "STOP_COPY > STOP > RUNNING_P2P > RUNNING",
      ].sort(),
    );
  });

  it("is shorter without the states that a device has not", () => {
    expect(combinations(STOP_COPY)).toEqual([
      "RESUMING > STOP > RUNNING",
      "RESUMING > STOP > STOP_COPY",
      "RUNNING > STOP > RESUMING",
      "RUNNING > STOP > STOP_COPY",
      "STOP_COPY > STOP > RESUMING",
      "STOP_COPY > STOP > RUNNING",
    ]);
    expect(pathBetween(STOP_COPY | PRE_COPY, STATE.PRE_COPY, STATE.STOP_COPY)).toEqual([STATE.STOP_COPY]);
    expect(pathBetween(STOP_COPY | P2P, STATE.RUNNING, STATE.STOP)).toEqual([STATE.RUNNING_P2P, STATE.STOP]);
  });

  it("does not lead back from STOP_COPY to a running copy, nor into or out of ERROR", () => {
    const all = STOP_COPY | P2P | PRE_COPY;
    for (const to of [STATE.PRE_COPY, STATE.PRE_COPY_P2P]) {
      expect(nextState(all, STATE.STOP_COPY, to)).toBeUndefined();
    }
    for (const state of Object.values(STATE)) {
      expect(nextState(all, state, STATE.ERROR)).toBeUndefined();
      expect(nextState(all, STATE.ERROR, state)).toBeUndefined();
    }
  });

  it("does not lead to states that a device has not, or that there are none of", () => {
    expect(nextState(STOP_COPY, STATE.RUNNING, STATE.PRE_COPY)).toBeUndefined();
    for (const state of [8, 0xffff_ffff]) expect(nextState(7, STATE.RUNNING, state)).toBeUndefined();
  });
});
