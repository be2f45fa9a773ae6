/** The driver of mlx5 is not told that its function was reset: the device stays in the migration state that it was in. */
import type { Fault } from "./fault.ts";

export const mlx5ResetUnseen: Fault = {
  id: "mlx5-reset-unseen",
  title: "a reset leaves the migration state of a driver's device, and its session",
  cites: "vfio/mlx5: Use its own PCI reset_done error handler (5.18)",
  breaks: "reset-runs",
  shownBy: "driver-mlx5",
  machine: "variants",
  apply(k) {
    k.migrating = { ...k.migrating, *resetDone() {} };
  },
};
