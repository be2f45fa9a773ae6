/** Invariants over interrupts of PCI functions. */
import type { StateInvariant } from "./invariant.ts";

export const intxMaskedWhilePulled: StateInvariant = {
  kind: "state",
  id: "intx-masked-while-pulled",
  title:
    "INTx that is in use is masked as long as its function pulls it: it is signalled once, and then the user's turn",
  broken({ machine }) {
    const { functions } = machine.k;
    for (let i = 0; i < functions.length; i++) {
      const pciFunction = functions[i];
      if (!pciFunction?.hardware?.line) continue;
      const { intx } = pciFunction.irqs;
      if (intx && !intx.masked) return `INTx of ${pciFunction.spec.name} is pulled and not masked`;
    }
    return undefined;
  },
};
