/**
 * Tokens by which users of a physical function and of its virtual ones show that they belong together, as UUIDs. Beside
 * drivers/vfio/pci/vfio_pci_core.c.
 */
import { clauses, must, refuse } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import { field } from "../uapi/layout.ts";
import { UUID_SIZE, uuidAt } from "../uapi/uuid.ts";
import { FEATURE, FEATURE_HEADER, FEATURE_INDEX, type Feature, featureIoctl } from "../vfio/feature.ts";
import { functionOf } from "./pci-device.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_core.c:${name}`;
const header = "include/uapi/linux/vfio.h:VFIO_DEVICE_FEATURE_PCI_VF_TOKEN";
const match = source("vfio_pci_validate_vf_token");

export const rule = clauses({
  "VFIO-PCI-NAME-1": {
    rule: "behind a function's name only spaces may stand, and vf_token= with a UUID, once",
    errno: "EINVAL",
    source: source("vfio_pci_core_match"),
  },
  "VFIO-PCI-NAME-2": {
    rule: "a token is refused by a function that is neither virtual nor can have virtual ones",
    errno: "EINVAL",
    source: match,
  },
  "VFIO-PCI-TOKEN-1": {
    rule: "only a function that can have virtual ones has a token",
    errno: "ENOTTY",
    source: header,
  },
  "VFIO-PCI-TOKEN-2": {
    machine: "sriov",
    rule: "the data must be readable",
    errno: "EFAULT",
    source: source("vfio_pci_core_feature_token"),
  },
  "VFIO-PCI-TOKEN-3": {
    machine: "sriov",
    rule: "the token is another from now on",
    source: header,
    observable: "later-call",
  },
  "VFIO-PCI-TOKEN-4": {
    machine: "sriov",
    rule: "a virtual function of a physical one that vfio-pci has can't be used without its token",
    errno: "EACCES",
    source: match,
  },
  "VFIO-PCI-TOKEN-5": {
    machine: "sriov",
    rule: "a virtual function can't be used with another token than that of its physical one",
    errno: "EACCES",
    source: match,
  },
  "VFIO-PCI-TOKEN-6": { machine: "sriov", rule: "the right token opens a virtual function", source: match },
  "VFIO-PCI-TOKEN-7": {
    machine: "sriov",
    rule: "a physical function with virtual ones in use can't be used without the token",
    errno: "EACCES",
    source: match,
  },
  "VFIO-PCI-TOKEN-8": {
    machine: "sriov",
    rule: "a physical function with virtual ones in use can't be used with another token",
    errno: "EACCES",
    source: match,
  },
  "VFIO-PCI-TOKEN-9": {
    machine: "sriov",
    rule: "a physical function without virtual ones in use takes the token that it is given, even if it is not opened in the end",
    partial: true,
    source: match,
    observable: "later-call",
  },
});

/** The token of a physical function: struct vfio_pci_vf_token. */
export class VfToken {
  /** Its bytes in hexadecimal; null while it is what the kernel has made up, which nobody is told. */
  uuid: string | null = null;
  /** Virtual functions that are open. */
  users = 0;

  /** A number for all of it. */
  trace(): number {
    return this.users * 0x10000 + (this.uuid === null ? 1 : Number.parseInt(this.uuid.slice(12, 16), 16) + 2);
  }
}

const OPTION = "vf_token=";
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/i;

const skipSpaces = (text: string): string => text.replace(/^ +/, "");

const { SET } = FEATURE;
featureIoctl("PCI_VF_TOKEN", SET, { low: field.value64(0x1122_3344_5566_7788n, 0), high: field.value64(1, 0) });

/** vfio_pci_core_feature_token: what the token is can't be asked, for it may be that of who had the function before. */
export const vfToken: Feature = {
  index: FEATURE_INDEX.PCI_VF_TOKEN,
  *run(k, request): Operation<number> {
    const token = functionOf(request.device).vfToken ?? refuse(rule["VFIO-PCI-TOKEN-1"]);
    if (!k.feature.check(k, request, SET, UUID_SIZE)) return 0;
    request.block.copyFrom(FEATURE_HEADER + UUID_SIZE, rule["VFIO-PCI-TOKEN-2"], FEATURE_HEADER);
    token.uuid = uuidAt(request.block.bytes, FEATURE_HEADER);
    k.keeps(rule["VFIO-PCI-TOKEN-3"]);
    return 0;
  },
};

export const steps = {
  /** vfio_pci_core_match */
  match(k: Kernel, pciFunction: PciFunction, own: string, text: string): boolean {
    if (!text.startsWith(own)) return false;
    let rest = text.slice(own.length);
    if (rest !== "" && !rest.startsWith(" ")) return false;
    let token: string | null = null;
    for (rest = skipSpaces(rest); rest !== ""; rest = skipSpaces(rest)) {
      must(token === null && rest.startsWith(OPTION), rule["VFIO-PCI-NAME-1"]);
      rest = rest.slice(OPTION.length);
      const uuid = UUID.exec(rest);
      must(uuid !== null, rule["VFIO-PCI-NAME-1"]);
      token = uuid[0].replaceAll("-", "").toLowerCase();
      rest = rest.slice(uuid[0].length);
    }
    k.vfioPci.matchToken(k, pciFunction, token);
    return true;
  },

  /** vfio_pci_core_match_token_uuid */
  matchToken(k: Kernel, pciFunction: PciFunction, token: string | null): void {
    const { physical, vfToken } = pciFunction;
    if (physical?.vfToken) {
      k.vfioPci.mustBeThere(pciFunction);
      must(token !== null, rule["VFIO-PCI-TOKEN-4"]);
      must(token === physical.vfToken.uuid, rule["VFIO-PCI-TOKEN-5"]);
      k.keeps(rule["VFIO-PCI-TOKEN-6"]);
    } else if (!vfToken) {
      must(token === null, rule["VFIO-PCI-NAME-2"]);
    } else if (vfToken.users > 0) {
      must(token !== null, rule["VFIO-PCI-TOKEN-7"]);
      must(token === vfToken.uuid, rule["VFIO-PCI-TOKEN-8"]);
    } else if (token !== null) {
      vfToken.uuid = token;
      k.keeps(rule["VFIO-PCI-TOKEN-9"]);
    }
  },
};
