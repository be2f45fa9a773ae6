/** An interrupt of mtty is disabled as often as anybody asks, each time putting the eventfd that it put before. */
import { IRQ_SET } from "../../model/vfio/irqs.ts";
import type { Fault } from "./fault.ts";

export const mttyDisablesAgain: Fault = {
  id: "mtty-disables-again",
  title: "disabling an interrupt that is not in use succeeds",
  cites: "293fbc288181 vfio/mtty: Overhaul mtty interrupt handling (6.7)",
  breaks: "difference",
  shownBy: "sample-devices",
  apply(k) {
    const right = k.mtty.trigger;
    k.mtty = {
      ...k.mtty,
      trigger(kernel, interrupts, request) {
        if (request.flags & IRQ_SET.NONE) interrupts.disable();
        else right(kernel, interrupts, request);
      },
    };
  },
};
