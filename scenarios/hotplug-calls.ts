/** Calls about functions that leave the bus and are found again, as scenarios write them. */
import type { Call } from "../model/program.ts";

/** Takes a function off the bus. */
export const removeFunction = (device: string, text = "1"): Call => ({
  op: "sysfs-write",
  attribute: { kind: "pci-device", device, file: "remove" },
  text: { text },
});
/** Looks for functions on every bus. */
export const rescanAll = (text = "1"): Call => ({
  op: "sysfs-write",
  attribute: { kind: "pci-bus", file: "rescan" },
  text: { text },
});
/** Looks for functions on a device's bus and behind it. */
export const rescanAt = (device: string, text = "1"): Call => ({
  op: "sysfs-write",
  attribute: { kind: "pci-device", device, file: "rescan" },
  text: { text },
});
/** Looks for functions on the bus of the bridge that a function lies behind. */
export const rescanAbove = (device: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "pci-bridge", device, file: "rescan" },
  text: { text: "1" },
});
