// Where this machine gets its Debian packages: read from apt's own configuration, in both of its formats.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** One archive, suite and component list that apt is configured with. */
export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** Paths of keyrings, or the key itself in ASCII armour; undefined where apt's default keyrings serve. */
  readonly signedBy: string | undefined;
}

/** Reads the one-line format (`sources.list`, `*.list`): `deb [options] uri suite component…`. */
export function parseOneLineSources(text: string): readonly AptSource[] {
  return text.split("\n").flatMap((line): AptSource[] => {
    const [, options = "", rest = ""] = /^\s*deb\s+(?:\[([^\]]*)\]\s*)?([^#]*)/.exec(line) ?? [];
    const [uri, suite, ...components] = rest.trim().split(/\s+/);
    if (!uri || !suite) return [];
    return [{ uri, suite, components, signedBy: /\bsigned-by=(\S+)/i.exec(options)?.[1] }];
  });
}

/** Reads the deb822 format (`*.sources`): stanzas of `Field: value`, a value going on in indented lines. */
export function parseDeb822Sources(text: string): readonly AptSource[] {
  const withoutComments = text
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("\n");
  return withoutComments.split(/\n\s*\n/).flatMap((stanza) => {
    const fields = new Map<string, string>();
    for (const [, name, value] of stanza.matchAll(/^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)/gm)) {
      if (name !== undefined && value !== undefined) fields.set(name.toLowerCase(), value.trim());
    }
    const words = (name: string) => fields.get(name)?.split(/\s+/).filter(Boolean) ?? [];
    if (fields.get("enabled")?.toLowerCase() === "no" || !words("types").includes("deb")) return [];
    // In a folded value a line with a single dot stands for an empty one.
    const signedBy = fields.get("signed-by")?.replace(/\n[ \t]+\.?/g, "\n");
    return words("uris").flatMap((uri) =>
      words("suites").map((suite): AptSource => ({ uri, suite, components: words("components"), signedBy })),
    );
  });
}

/** Everything apt on this machine is configured with. */
export async function readMachineSources(etc = "/etc/apt"): Promise<readonly AptSource[]> {
  const parts = join(etc, "sources.list.d");
  const names = await readdir(parts).catch((): string[] => []);
  const files = [join(etc, "sources.list"), ...names.sort().map((name) => join(parts, name))];
  const sources = await Promise.all(
    files.map(async (file) => {
      const parse = file.endsWith(".sources")
        ? parseDeb822Sources
        : file.endsWith(".list")
          ? parseOneLineSources
          : null;
      return parse?.(await readFile(file, "utf8").catch(() => "")) ?? [];
    }),
  );
  return sources.flat();
}

/** Names under which every Debian archive has a suite, besides the machine's own codename. */
const ALIASES = ["stable", "oldstable", "testing", "unstable", "sid"];

/**
 * The Debian archive itself among what apt is configured with; other archives may have suites of the same names, so
 * the one that Debian's own keyring signs goes first.
 *
 * @param osRelease the text of os-release(5)
 * @returns undefined when this is not Debian, or apt knows no such archive
 */
export function findDebianArchive(sources: readonly AptSource[], osRelease: string): AptSource | undefined {
  const value = (name: string) => new RegExp(`^${name}="?([^"\\n]*)"?$`, "m").exec(osRelease)?.[1];
  if (value("ID") !== "debian") return undefined;
  const suites = new Set([value("VERSION_CODENAME"), ...ALIASES]);
  const candidates = sources.filter(
    ({ uri, suite, components }) => suites.has(suite) && components.includes("main") && !uri.startsWith("cdrom:"),
  );
  return candidates.find(({ signedBy }) => signedBy?.includes("debian-archive")) ?? candidates[0];
}
