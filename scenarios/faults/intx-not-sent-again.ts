/** Unmasking forgets to look at the line: the interrupt that is pending is lost until the function lets go and pulls again. */
import type { Fault } from "./fault.ts";

export const intxNotSentAgain: Fault = {
  id: "intx-not-sent-again",
  title: "INTx that is unmasked while the function pulls it is not signalled",
  cites: "seeded",
  breaks: "intx-masked-while-pulled",
  shownBy: "function-regions",
  apply(k) {
    k.intrs = {
      ...k.intrs,
      unmask(_k, { intx, intxDisabled }) {
        if (intx && !intxDisabled) intx.masked = false;
      },
    };
  },
};
