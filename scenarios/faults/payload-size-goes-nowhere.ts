/** The payload size that a user writes goes to the function, which is not to change it, in place of a copy. */
import { EXPRESS } from "../../model/vfio-pci/config-perms.ts";
import type { Fault } from "./fault.ts";

const PAYLOAD = 0xe0;

export const payloadSizeGoesNowhere: Fault = {
  id: "payload-size-goes-nowhere",
  title: "the payload size in PCI Express's device control reads as the function has it, whatever was written",
  cites: "vfio/pci: Virtualize Maximum Payload Size",
  breaks: "difference",
  shownBy: "config-space",
  apply(k) {
    const { configByte } = k.vfioPci;
    k.vfioPci = {
      ...k.vfioPci,
      configByte(kernel, space, at) {
        const byte = configByte(kernel, space, at);
        const region = space.region(at);
        if (region?.permissions.kind !== "express" || at !== region.start + EXPRESS.CONTROL) return byte;
        return (byte & ~PAYLOAD) | (space.read(at) & PAYLOAD);
      },
    };
  },
};
