/**
 * Which module is the best for a device: modules.alias and the modalias that the kernel shows. Beside scripts/mod/file2alias.c
 * and drivers/pci/pci-sysfs.c:modalias_show.
 *
 * The rule is that of "PCI / VFIO: Add 'override_only' support for VFIO PCI sub system" (cc6711b0bf36, 5.15): of the aliases
 * that match, the one with the fewest `*`. What is for overrides only has aliases that begin with `vfio_pci:`, which nobody
 * but who asks for them looks at.
 */
import { fnmatch, wildcards } from "./fnmatch.ts";
import { type FunctionId, PCI_ANY_ID, type PciDeviceId } from "./pci-id.ts";

/** A line of modules.alias. */
export interface Alias {
  readonly pattern: string;
  readonly module: string;
  /** Counted from 1. */
  readonly line: number;
}

/** A line that is no alias, or a modalias that no device has; the message is one sentence. */
export class AliasError extends Error {
  override readonly name = "AliasError";
}

/**
 * The aliases of a file, in its order.
 *
 * @throws AliasError of the first line that is neither an alias, a comment nor empty.
 */
export function parseAliases(text: string): Alias[] {
  return text.split("\n").flatMap((line, at) => {
    const words = line.trim().split(/\s+/);
    const [word = "", pattern, module] = words;
    if (word === "" || word.startsWith("#")) return [];
    if (word !== "alias" || pattern === undefined || module === undefined || words.length !== 3) {
      throw new AliasError(`line ${at + 1} is no alias: expected "alias PATTERN MODULE", as depmod writes it.`);
    }
    return [{ pattern, module, line: at + 1 }];
  });
}

const BUS = /^[a-z][a-z0-9_]*$/;
const PCI = /^v[0-9A-F]{8}d[0-9A-F]{8}sv[0-9A-F]{8}sd[0-9A-F]{8}bc[0-9A-F]{2}sc[0-9A-F]{2}i[0-9A-F]{2}$/;

/**
 * The name to look for: the modalias, with another prefix in the place of its bus where one is given.
 *
 * @throws AliasError where that is no modalias, or one of a PCI function that lacks a part.
 */
export function lookupName(modalias: string, prefix?: string): string {
  const colon = modalias.indexOf(":");
  const bus = modalias.slice(0, Math.max(0, colon));
  const rest = modalias.slice(colon + 1);
  if (!BUS.test(bus) || rest === "" || /[\s*?[\]\\]/.test(rest)) {
    throw new AliasError(
      `"${modalias}" is no modalias: pass what the file modalias of a device in sysfs has, as it is.`,
    );
  }
  if (/(^|_)pci$/.test(bus) && !PCI.test(rest)) {
    throw new AliasError(
      `"${modalias}" is not the whole modalias of a PCI function, which has the form pci:v…d…sv…sd…bc…sc…i….`,
    );
  }
  if (prefix !== undefined && !BUS.test(prefix)) {
    throw new AliasError(`"${prefix}" is no prefix of aliases: pass a word such as vfio_pci, without a colon.`);
  }
  return `${prefix ?? bus}:${rest}`;
}

/** An alias that matches, and how many `*` it has. */
export interface Candidate extends Alias {
  readonly wildcards: number;
}

/** What matches a name: the best first, the others behind it from the next best to the worst, equals in the file's order. */
export interface Match {
  readonly name: string;
  /** Null where nothing matches. */
  readonly winner: Candidate | null;
  /** Of other modules, just as good as the winner: which of them comes first in the file says nothing. */
  readonly ties: readonly Candidate[];
  readonly losers: readonly Candidate[];
}

/** Finds the module for a name. */
export function bestMatch(aliases: Iterable<Alias>, name: string): Match {
  const found: Candidate[] = [];
  for (const alias of aliases) {
    if (fnmatch(alias.pattern, name)) found.push({ ...alias, wildcards: wildcards(alias.pattern) });
  }
  found.sort((one, other) => one.wildcards - other.wildcards || one.line - other.line);
  const [winner = null, ...others] = found;
  // Another alias of the winner's own module, just as good, says nothing new.
  const ties = others.filter((other) => other.wildcards === winner?.wildcards && other.module !== winner.module);
  return { name, winner, ties, losers: others.filter((other) => other.wildcards !== winner?.wildcards) };
}

const hex = (number: number, digits: number): string => number.toString(16).toUpperCase().padStart(digits, "0");

/** modalias_show of a PCI function. */
export function modaliasOf({ vendor, device, subvendor, subdevice, class: its }: FunctionId): string {
  const ids = `v${hex(vendor, 8)}d${hex(device, 8)}sv${hex(subvendor, 8)}sd${hex(subdevice, 8)}`;
  return `pci:${ids}bc${hex((its >> 16) & 0xff, 2)}sc${hex((its >> 8) & 0xff, 2)}i${hex(its & 0xff, 2)}`;
}

/** do_pci_entry: the alias of an entry of a driver's table, or null where it asks for single bits of the class. */
export function aliasOf(id: PciDeviceId): string | null {
  const word = (number: number): string => (number === PCI_ANY_ID ? "*" : hex(number, 8));
  const masks = [16, 8, 0].map((shift) => (id.classMask >> shift) & 0xff);
  if (masks.some((mask) => mask !== 0 && mask !== 0xff)) return null;
  const [base = "", sub = "", programming = ""] = masks.map((mask, at) =>
    mask === 0 ? "*" : hex((id.class >> (16 - 8 * at)) & 0xff, 2),
  );
  const ids = `v${word(id.vendor)}d${word(id.device)}sv${word(id.subvendor)}sd${word(id.subdevice)}`;
  // Every alias ends in a wildcard, for what may be appended to modaliases one day.
  const end = programming === "*" ? "*" : `${programming}*`;
  return `${id.overrideOnly ? "vfio_pci" : "pci"}:${ids}bc${base}sc${sub}i${end}`;
}
