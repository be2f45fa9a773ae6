/** Addresses of PCI functions, as sysfs spells them. */

export interface PciAddress {
  readonly segment: number;
  readonly bus: number;
  /** Device times 8 plus function. */
  readonly devfn: number;
}

/** `0000:05:00.1` taken apart. Throws an Error for what is no address. */
export function parseAddress(address: string): PciAddress {
  const match = /^([0-9a-f]{4,}):([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$/i.exec(address);
  if (!match) throw new Error(`"${address}" is no PCI address; it has to look like 0000:05:00.1`);
  const [segment = 0, bus = 0, device = 0, fn = 0] = match.slice(1).map((part) => Number.parseInt(part, 16));
  return { segment, bus, devfn: device * 8 + fn };
}
