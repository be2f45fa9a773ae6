/** Goals about low power of functions. */
import type { Goal } from "../coverage.ts";
import { ioctlEnded } from "./ended.ts";

const PM = { kconfig: ["PM"] } as const;

/** What a function was seen to do. */
function seen(id: string, title: string, asleep: 0 | 1): Goal {
  return {
    id,
    title,
    needs: PM,
    reached: (call, { ret }) => call.op === "probe" && call.probe.kind === "asleep" && ret === asleep,
  };
}

export const POWER_GOALS: readonly Goal[] = [
  seen("function-sleeps", "a function was seen to sleep", 1),
  seen("function-awake", "a function was seen to be awake", 0),
  ioctlEnded(
    "wakeup-allowed",
    "a function was allowed low power that ends in a wakeup",
    "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP",
    0,
    PM,
  ),
  ioctlEnded(
    "low-power-twice",
    "a function that may sleep was refused to be allowed it again",
    "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY",
    "EINVAL",
  ),
];
