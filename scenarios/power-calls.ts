/** Calls about low power of a function that is open as `@device`. */
import type { Call, Place, Value } from "../model/program.ts";
import { FEATURE, FEATURE_INDEX } from "../model/vfio/feature.ts";
import { ioctl } from "./calls.ts";
import { gives, type Step } from "./scenario.ts";

const { SET } = FEATURE;
const HEADER = 8;

export const mayFallAsleep = (device: Value = "@device"): Call =>
  ioctl(device, "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY", { argsz: HEADER, flags: SET | FEATURE_INDEX.LOW_POWER_ENTRY });
/** The same; the eventfd is to tell when the function wakes up. */
export const mayFallAsleepUntil = (wakeup_eventfd: Value, device: Value = "@device", place?: Place): Call =>
  ioctl(
    device,
    "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP",
    { argsz: HEADER + 8, flags: SET | FEATURE_INDEX.LOW_POWER_ENTRY_WITH_WAKEUP, wakeup_eventfd },
    place === undefined ? {} : { place },
  );
export const mustBeAwake = (device: Value = "@device"): Call =>
  ioctl(device, "VFIO_DEVICE_FEATURE_LOW_POWER_EXIT", { argsz: HEADER, flags: SET | FEATURE_INDEX.LOW_POWER_EXIT });
/** Waits until the function has had the time to fall asleep, and looks whether it did. */
export const asleep = (device: string): Step => gives(1, { op: "probe", probe: { kind: "asleep", device } });
export const awake = (device: string): Step => gives(0, { op: "probe", probe: { kind: "asleep", device } });
