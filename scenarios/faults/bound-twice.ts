/** bind does not look whether somebody has the function already. */
import type { Fault } from "./fault.ts";

export const boundTwice: Fault = {
  id: "bound-twice",
  title: "a function that has a driver is bound to another, which the first is not told",
  cites: "seeded",
  breaks: "one-driver",
  shownBy: "driver-binding",
  apply(k) {
    const { bind } = k.driverCore;
    k.driverCore = {
      ...k.driverCore,
      *bind(kernel, name, text) {
        const pciFunction = kernel.driverCore.findDevice(kernel, text);
        if (pciFunction) pciFunction.driver = null;
        return yield* bind(kernel, name, text);
      },
    };
  },
};
