/** Functions of IBM Z machines: what millicode tells of them, as capabilities of GET_INFO. Beside drivers/vfio/pci/vfio_pci_zdev.c. */
import { clauses } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { PciFunction } from "../pci/function.ts";
import type { ZpciTraits } from "../pci/traits.ts";
import type { Capability } from "../vfio/device-info.ts";

export const rule = clauses({
  "ZDEV-INFO-1": {
    rule: "GET_INFO tells where DMA of the function may go, what it is and how it is called, and the limits of its group, by capabilities",
    source: "include/uapi/linux/vfio_zdev.h",
    observable: "output",
    machine: "variants",
  },
  "ZDEV-INFO-2": {
    rule: "a utility string is told of where the function has one, and the function's path always",
    source: "drivers/vfio/pci/vfio_pci_zdev.c:vfio_pci_info_zdev_add_caps",
    observable: "output",
    machine: "variants",
  },
});

/** VFIO_DEVICE_INFO_CAP_ZPCI_* */
const CAP = { BASE: 1, GROUP: 2, UTIL: 3, PFIP: 4 } as const;
/** VFIO_DEVICE_INFO_ZPCI_FLAG_REFRESH */
const REFRESH = 1;
/** ZPCI_MAX_WRITE_SIZE */
const MAX_WRITE_SIZE = 128;
const UTILITY_LENGTH = 64;

/** Words of 32 bits out of fields of so many bytes. */
function words(...fields: readonly (readonly [width: 1 | 2 | 4 | 8, value: number | bigint])[]): number[] {
  const bytes = fields.flatMap(([width, value]) =>
    Array.from({ length: width }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 0xffn)),
  );
  while (bytes.length % 8 !== 0) bytes.push(0);
  const view = new DataView(Uint8Array.from(bytes).buffer);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}

/** A capability that is a string of bytes behind its length. */
function stringCapability(id: number, bytes: readonly number[]): Capability {
  const all = words([4, bytes.length], ...bytes.map((byte) => [1, byte] as const));
  return { id, version: 1, words: all.slice(0, 1 + Math.ceil(bytes.length / 4)) };
}

function base(traits: ZpciTraits): Capability {
  const { startDma, endDma, pchid, vfn, functionType, groupId, handle } = traits;
  const fields = words(
    [8, startDma],
    [8, endDma],
    [2, pchid],
    [2, vfn],
    [2, 0],
    [1, functionType],
    [1, groupId],
    [4, handle],
  );
  return { id: CAP.BASE, version: 2, words: fields };
}

function group({ dmaMask, msiAddress, maxMsi, version, maxStoreBlock }: ZpciTraits): Capability {
  const limits = [
    [2, 0],
    [2, maxMsi],
    [2, MAX_WRITE_SIZE],
    [1, version],
    [1, 0],
    [2, maxStoreBlock],
  ] as const;
  return { id: CAP.GROUP, version: 2, words: words([8, dmaMask], [8, msiAddress], [8, REFRESH], ...limits) };
}

export const steps = {
  /** vfio_pci_info_zdev_add_caps */
  capabilities(k: Kernel, { spec: { traits } }: PciFunction): readonly Capability[] {
    if (traits?.kind !== "zpci") return [];
    k.keeps(rule["ZDEV-INFO-1"]);
    k.keeps(rule["ZDEV-INFO-2"]);
    const { utilityString, path } = traits;
    const utility =
      utilityString === null ? [] : [...Buffer.from(utilityString.padEnd(UTILITY_LENGTH, "\0"), "latin1")];
    return [
      base(traits),
      group(traits),
      ...(utility.length > 0 ? [stringCapability(CAP.UTIL, utility)] : []),
      stringCapability(CAP.PFIP, path),
    ];
  },
};
