/** A function that D3hot resets comes back to full power as it is after that, and nobody puts its registers back. */
import { COMMAND } from "../../model/vfio-pci/config-perms.ts";
import type { Fault } from "./fault.ts";

export const powerStateLosesRegisters: Fault = {
  id: "power-state-loses-registers",
  title: "a function comes back from D3hot with its command register cleared",
  cites: "51ef3a004b1e vfio/pci: Restore device state on PM transition",
  breaks: "difference",
  shownBy: "config-space",
  apply(k) {
    const { powerUp } = k.vfioPci;
    k.vfioPci = {
      ...k.vfioPci,
      powerUp(kernel, pciFunction, space) {
        const loses = space.saved !== null;
        powerUp(kernel, pciFunction, space);
        if (!loses) return;
        for (const at of [COMMAND.AT, COMMAND.AT + 1]) space.write(at, 0, 0xff);
      },
    };
  },
};
