/** Whether a write is set up already is asked of the eventfd, too: the same write can be set up again with another one. */
import type { Fault } from "./fault.ts";

export const ioeventfdTwice: Fault = {
  id: "ioeventfd-twice",
  title: "one write to a BAR is set up with two eventfds",
  cites: "seeded",
  breaks: "difference",
  shownBy: "function-regions",
  apply(k) {
    const { setIoeventfd } = k.vfioPci;
    k.vfioPci = {
      ...k.vfioPci,
      setIoeventfd(kernel, pciFunction, write, fd) {
        if (fd < 0) return setIoeventfd(kernel, pciFunction, write, fd);
        const before = pciFunction.ioeventfds.splice(0);
        try {
          setIoeventfd(kernel, pciFunction, write, fd);
        } finally {
          pciFunction.ioeventfds.push(...before);
        }
      },
    };
  },
};
