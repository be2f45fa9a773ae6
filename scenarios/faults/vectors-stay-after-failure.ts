/** A call that can't set up all of its vectors has put MSI-X to use all the same. */
import { Refusal } from "../../model/kernel/clause.ts";
import { VectorContext } from "../../model/vfio-pci/function-irqs.ts";
import type { Fault } from "./fault.ts";

export const vectorsStayAfterFailure: Fault = {
  id: "vectors-stay-after-failure",
  title: "MSI-X whose vectors can't be set up is in use from then on",
  cites: "seeded",
  breaks: "difference",
  shownBy: "pci-functions",
  apply(k) {
    const right = k.intrs.setBlock;
    k.intrs = {
      ...k.intrs,
      *enableVectors(kernel, { irqs }, index, request) {
        irqs.vectors = new VectorContext(index, request.start + request.count);
        try {
          right(kernel, irqs.vectors, request);
        } catch (refusal) {
          if (!(refusal instanceof Refusal)) irqs.vectors = null;
          throw refusal;
        }
      },
    };
  },
};
