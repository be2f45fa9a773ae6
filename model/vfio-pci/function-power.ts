/** Whether a function may sleep, and does: what of struct vfio_pci_core_device and of its runtime power management is about that. */
import type { EventCounter } from "../eventfd.ts";

export class FunctionPower {
  /** pm_runtime_engaged: its user lets it go to low power. */
  engaged = false;
  /** pm_wake_eventfd_ctx: where its user is told that it woke up, which ends low power. */
  wakeup: EventCounter | null = null;
  /** Whether it sleeps. It falls asleep some time after the last call is over: until somebody has waited for that, null. */
  asleep: boolean | null = false;

  /** Allows low power. */
  engage(wakeup: EventCounter | null): void {
    this.engaged = true;
    this.wakeup = wakeup;
    this.asleep = null;
  }

  /** Ends it. */
  disengage(): void {
    this.engaged = false;
    this.wakeup = null;
    this.asleep = false;
  }

  /** A number for what calls change of it. */
  trace(): number {
    return (this.engaged ? 1 : 0) | (this.wakeup ? 2 : 0);
  }
}
