/** The token behind a function's name in VFIO_GROUP_GET_DEVICE_FD. Beside drivers/vfio/pci/vfio_pci_core.c:vfio_pci_core_match. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_core.c:${name}`;

export const rule = clauses({
  "VFIO-PCI-NAME-1": {
    rule: "behind a function's name only spaces may stand, and vf_token= with a UUID, once",
    errno: "EINVAL",
    source: source("vfio_pci_core_match"),
  },
  "VFIO-PCI-NAME-2": {
    rule: "a token is refused by a physical function that has no use for one",
    errno: "EINVAL",
    source: source("vfio_pci_validate_vf_token"),
  },
});

const OPTION = "vf_token=";
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/i;

const skipSpaces = (text: string): string => text.replace(/^ +/, "");

export const steps = {
  /** vfio_pci_core_match, for functions that are no virtual functions and have none */
  match(_k: Kernel, own: string, text: string): boolean {
    if (!text.startsWith(own)) return false;
    let rest = text.slice(own.length);
    if (rest !== "" && !rest.startsWith(" ")) return false;
    let token = false;
    for (rest = skipSpaces(rest); rest !== ""; rest = skipSpaces(rest)) {
      must(!token && rest.startsWith(OPTION), rule["VFIO-PCI-NAME-1"]);
      rest = rest.slice(OPTION.length);
      const uuid = UUID.exec(rest);
      must(uuid !== null, rule["VFIO-PCI-NAME-1"]);
      token = true;
      rest = rest.slice(uuid[0].length);
    }
    if (token) refuse(rule["VFIO-PCI-NAME-2"]);
    return true;
  },
};
