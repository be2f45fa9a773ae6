import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fnmatch } from "./fnmatch.ts";
import { type Alias, AliasError, aliasOf, bestMatch, lookupName, modaliasOf, parseAliases } from "./modules-alias.ts";
import { type FunctionId, matchesOne, PCI_ANY_ID, type PciDeviceId, pciDevice, vfioOverride } from "./pci-id.ts";

const FILE = `# Aliases extracted from modules themselves.
alias pci:v000015B3d00001021sv*sd*bc*sc*i* mlx5_core
alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci
alias vfio_pci:v000015B3d00001021sv*sd*bc*sc*i* mlx5_vfio_pci
`;
const MODALIAS = "pci:v000015B3d00001021sv000015B3sd00000001bc02sc00i00";

describe("modules.alias", () => {
  it("has for VFIO what only those see who ask for it", () => {
    const aliases = parseAliases(FILE);
    expect(bestMatch(aliases, lookupName(MODALIAS)).winner).toMatchObject({
      module: "mlx5_core",
      wildcards: 5,
      line: 2,
    });
    const { winner, ties, losers } = bestMatch(aliases, lookupName(MODALIAS, "vfio_pci"));
    expect(winner).toMatchObject({ module: "mlx5_vfio_pci", wildcards: 5 });
    expect(ties).toEqual([]);
    expect(losers).toMatchObject([{ module: "vfio_pci", wildcards: 7 }]);
  });

  it("has vfio_pci for every function that nobody else is better for", () => {
    const other = MODALIAS.replace("15B3", "8086");
    expect(bestMatch(parseAliases(FILE), lookupName(other, "vfio_pci")).winner?.module).toBe("vfio_pci");
    expect(bestMatch(parseAliases(FILE), lookupName(other)).winner).toBeNull();
  });

  it("tells of modules that are just as good", () => {
    const twice = `${FILE}alias vfio_pci:v000015B3d*sv*sd*bc02sc*i* other\n`;
    const { winner, ties } = bestMatch(parseAliases(twice), lookupName(MODALIAS, "vfio_pci"));
    expect([winner, ...ties].map((candidate) => candidate?.module)).toEqual(["mlx5_vfio_pci", "other"]);
  });

  it.each(["alias pci:v* ", "options vfio_pci ids=8086:10d3", "alias a b c"])("can't have the line %j", (line) => {
    expect(() => parseAliases(`${FILE}${line}`)).toThrow(
      new AliasError('line 5 is no alias: expected "alias PATTERN MODULE", as depmod writes it.'),
    );
  });

  it.each(["", "pci", "pci:", ":v1", "pci:v*", "pci:v000015B3d00001021", "vfio_pci:v1", "pci:v 1"])(
    "%j is no modalias",
    (modalias) => {
      expect(() => lookupName(modalias)).toThrow(AliasError);
    },
  );
});

/** Few values, so that ids and functions often meet. */
const word = fc.constantFrom(0, 1, 0x15b3, 0xffff);
const own: fc.Arbitrary<FunctionId> = fc.record({
  vendor: word,
  device: word,
  subvendor: word,
  subdevice: word,
  class: fc.constantFrom(0x02_00_00, 0x02_00_01, 0x01_08_02),
});
const maybe = fc.oneof(word, fc.constant(PCI_ANY_ID));
const entry: fc.Arbitrary<PciDeviceId> = fc.record({
  vendor: maybe,
  device: maybe,
  subvendor: maybe,
  subdevice: maybe,
  class: fc.constantFrom(0x02_00_00, 0x02_00_01, 0x01_08_02),
  classMask: fc.constantFrom(0, 0xff_00_00, 0xff_ff_00, 0xff_ff_ff),
  driverData: fc.constant(0n),
  overrideOnly: fc.boolean(),
});

/** A file with an alias for each entry, each of a module of its own. */
const file = fc.array(entry, { maxLength: 12 }).map((entries): Alias[] =>
  entries.flatMap((id, at) => {
    const pattern = aliasOf(id);
    return pattern === null ? [] : [{ pattern, module: `module${at}`, line: at + 1 }];
  }),
);
const prefix = fc.constantFrom("pci", "vfio_pci");

describe("the best alias", () => {
  it("is of a table that matches the function, as the kernel matches it", () => {
    fc.assert(
      fc.property(entry, own, (id, its) => {
        const name = lookupName(modaliasOf(its), id.overrideOnly ? "vfio_pci" : "pci");
        expect(fnmatch(aliasOf(id) ?? "", name)).toBe(matchesOne(id, its));
      }),
    );
  });

  it("has no more wildcards than any other, and is of the bus that was asked for", () => {
    fc.assert(
      fc.property(file, own, prefix, (aliases, its, bus) => {
        const { winner, ties, losers } = bestMatch(aliases, lookupName(modaliasOf(its), bus));
        if (!winner) {
          expect([...ties, ...losers]).toEqual([]);
          return;
        }
        expect(winner.pattern.startsWith(`${bus}:`)).toBe(true);
        for (const tie of ties) expect(tie.wildcards).toBe(winner.wildcards);
        for (const loser of losers) expect(loser.wildcards).toBeGreaterThan(winner.wildcards);
      }),
    );
  });

  it("does not hang on the order of lines, but for those that are equal", () => {
    fc.assert(
      fc.property(
        file.chain((aliases) =>
          fc.tuple(fc.constant(aliases), fc.shuffledSubarray(aliases, { minLength: aliases.length })),
        ),
        own,
        prefix,
        ([aliases, shuffled], its, bus) => {
          const name = lookupName(modaliasOf(its), bus);
          const [one, other] = [aliases, shuffled.map((alias, at) => ({ ...alias, line: at + 1 }))].map((lines) => {
            const { winner, ties } = bestMatch(lines, name);
            return [winner, ...ties].map((candidate) => candidate?.module).sort();
          });
          expect(one).toEqual(other);
        },
      ),
    );
  });

  it("is never a table that leaves more open than another that matches", () => {
    fc.assert(
      fc.property(own, fc.boolean(), (its, forVfio) => {
        const exact = { ...pciDevice(its.vendor, its.device), overrideOnly: forVfio };
        const any = forVfio ? vfioOverride(PCI_ANY_ID, PCI_ANY_ID) : pciDevice(PCI_ANY_ID, PCI_ANY_ID);
        const aliases = [any, exact].map((id, at) => ({ pattern: aliasOf(id) ?? "", module: `${at}`, line: at + 1 }));
        const { winner } = bestMatch(aliases, lookupName(modaliasOf(its), forVfio ? "vfio_pci" : "pci"));
        expect(winner?.module).toBe("1");
      }),
    );
  });

  it("can't be of a table that asks for single bits of the class", () => {
    expect(aliasOf({ ...pciDevice(1, 2), classMask: 0xf0_00_00 })).toBeNull();
  });
});
