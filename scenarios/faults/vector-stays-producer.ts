/** A vector that is ended stays with the irqbypass manager: its interrupt would go to the VM, whoever has it by then. */
import type { Fault } from "./fault.ts";

export const vectorStaysProducer: Fault = {
  id: "vector-stays-producer",
  title: "a vector that is signalled no more stays connected to a VM",
  cites: "seeded",
  breaks: "bypass-lives",
  shownBy: "irq-bypass",
  apply(k) {
    k.intrs = {
      ...k.intrs,
      endVector(_kernel, { signalled }, vector) {
        signalled.delete(vector);
      },
    };
  },
};
