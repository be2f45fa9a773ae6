// Debian's source packages, through apt with a private state: no root, and the system's lists stay untouched.

import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type AptSource, findDebianArchive, readMachineSources } from "./apt-sources.ts";
import { digestFile, diskFull, exists, requireSpace, sweepUnfinished, UNFINISHED } from "./cache.ts";
import { type BuildContext, lockCache } from "./context.ts";
import { KernelError } from "./errors.ts";
import { type RunResult, run } from "./run.ts";

/** A package that can be had. */
export interface Package {
  readonly name: string;
  readonly version: string;
  /** The file's name in the archive. */
  readonly file: string;
  /** In bytes. */
  readonly size: number;
  readonly sha256: string;
}

/** The archive has replaced a package since the lists were fetched. */
export class OutdatedListsError extends KernelError {}

const OTHERWISE = "give a source tree with --tree or a finished kernel with --kernel bzImage";
const ALL_SUITES = ["bookworm", "bookworm-backports", "trixie-backports"];

/** The Debian releases that have a kernel's source; all of them for a version that is not known here. */
export function suitesOf(version: string): readonly string[] {
  const known: Readonly<Record<string, readonly string[]>> = {
    "6.1": ["bookworm"],
    "6.12": ["bookworm-backports"],
    "7.2": ["trixie-backports"],
  };
  return known[version] ?? ALL_SUITES;
}

/** The sources list for an archive's suites. */
export function formatSourcesList(archive: AptSource, suites: readonly string[], keyring: string | undefined): string {
  const options = keyring === undefined ? "" : `[signed-by=${keyring}] `;
  return suites.map((suite) => `deb ${options}${archive.uri} ${suite} main\n`).join("");
}

/** apt's configuration for a state of its own in `directory`. */
export function formatAptConfig(directory: string): string {
  // Hooks of the system's configuration would clean the system's caches.
  const hooks = ["Pre-Invoke", "Post-Invoke", "Post-Invoke-Success"].map((hook) => `#clear APT::Update::${hook};\n`);
  return `${hooks.join("")}Dir::State "${directory}";
Dir::State::status "/dev/null";
Dir::Cache "${directory}/cache";
Dir::Etc::sourcelist "${directory}/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
APT::Get::List-Cleanup "0";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "2";
`;
}

/** The first sentence of apt's complaint turned into one that says what to do. */
export function explainAptFailure(result: Pick<RunResult, "stdout" | "stderr">, cacheRoot: string): KernelError {
  const lines = [...result.stderr, ...result.stdout].filter((line) => /^(E|W|Err):?/.test(line.trim()));
  const text = lines.join("\n");
  if (/No space left/i.test(text)) return diskFull(cacheRoot, lines);
  if (/\b404\b/.test(text)) {
    return new OutdatedListsError(
      `Debian's archive does not have what its lists promise: try again later, or ${OTHERWISE}.`,
      lines,
    );
  }
  if (/NO_PUBKEY|is not signed|signatures? (was|were|couldn't)|keyring/i.test(text)) {
    return new KernelError(
      `apt does not trust the signature of Debian's archive: update the package debian-archive-keyring, or ${OTHERWISE}.`,
      lines,
    );
  }
  if (/resolv|connect|network|timed? ?out|unreachable|name resolution/i.test(text)) {
    return new KernelError(
      `Debian's archive cannot be reached: check the network and apt's proxy settings, or ${OTHERWISE}.`,
      lines,
    );
  }
  return new KernelError(`apt failed: ${lines[0] ?? "it gave no reason"}; mend that, or ${OTHERWISE}.`, lines);
}

/** apt with a private state and the suites that one kernel version needs. */
export class PrivateApt {
  private constructor(
    private readonly context: BuildContext,
    private readonly config: string,
    private readonly suites: readonly string[],
  ) {}

  /** Prepares the state; the caller holds the cache's `apt` lock for as long as it is used. */
  private static async prepare(context: BuildContext, version: string): Promise<PrivateApt> {
    const osRelease = await readFile("/etc/os-release", "utf8").catch(() => "");
    const archive = findDebianArchive(await readMachineSources(), osRelease);
    if (!archive) {
      throw new KernelError(`kernel sources come from Debian's archive, which apt here does not know: ${OTHERWISE}.`);
    }
    await sweepUnfinished(context.cache.sources);
    const directory = context.cache.apt;
    for (const part of ["lists/partial", "cache/archives/partial"]) {
      await mkdir(join(directory, part), { recursive: true });
    }
    let keyring = archive.signedBy;
    if (keyring?.includes("-----BEGIN")) {
      const key = keyring;
      keyring = join(directory, "archive-key.asc");
      await writeFile(keyring, key);
    }
    const suites = suitesOf(version);
    const config = join(directory, "apt.conf");
    await writeFile(config, formatAptConfig(directory));
    await writeFile(join(directory, "sources.list"), formatSourcesList(archive, suites, keyring));
    return new PrivateApt(context, config, suites);
  }

  /** Runs `use` with apt prepared for the kernel version, while no other run uses the same state. */
  static async with<T>(context: BuildContext, version: string, use: (apt: PrivateApt) => Promise<T>): Promise<T> {
    await using _ = await lockCache(context, "apt");
    return await use(await PrivateApt.prepare(context, version));
  }

  /**
   * Looks a package up in the lists, which are fetched when they do not have it; so a version once seen stays the
   * answer until `refresh` asks for new lists, and a kernel is not built anew with every point release.
   */
  async find(name: string, refresh: boolean): Promise<Package> {
    if (refresh) await this.update();
    let found = await this.lookUp(name);
    if (!found && !refresh) {
      await this.update();
      found = await this.lookUp(name);
    }
    if (found) return found;
    const sources = (await this.apt("apt-cache", ["pkgnames", "linux-source-"])).stdout
      .filter((other) => /^linux-source-\d+\.\d+$/.test(other))
      .sort();
    const there = sources.length > 0 ? `which has ${sources.join(", ")}` : "which has no kernel source at all";
    throw new KernelError(`there is no ${name} in Debian's ${this.suites.join(", ")}, ${there}: ${OTHERWISE}.`);
  }

  /** The path of the package's file, downloaded unless it is in the cache already. */
  async download(wanted: Package): Promise<string> {
    const target = join(this.context.cache.sources, wanted.file);
    if (await isIntact(target, wanted)) return target;
    await requireSpace(this.context.cache.sources, wanted.size, `downloading ${wanted.name}`);

    const directory = await mkdtemp(join(this.context.cache.sources, UNFINISHED));
    try {
      this.context.report({ stage: "download", line: wanted.file, fraction: 0 });
      const finished = new AbortController();
      const watch = this.watch(directory, wanted, finished.signal);
      const result = await this.apt("apt-get", ["download", `${wanted.name}=${wanted.version}`], directory);
      finished.abort();
      await watch;
      if (result.status !== 0) throw explainAptFailure(result, this.context.cache.root);
      // apt verified the file against the signed list; its name may differ in how it writes an epoch.
      const [file] = await readdir(directory);
      if (file === undefined) throw explainAptFailure(result, this.context.cache.root);
      await rename(join(directory, file), target);
      return target;
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  private async update(): Promise<void> {
    this.context.report({ stage: "resolve", line: `fetching the package lists of ${this.suites.join(", ")}` });
    const result = await this.apt("apt-get", ["update"]);
    if (result.status !== 0) throw explainAptFailure(result, this.context.cache.root);
  }

  private async lookUp(name: string): Promise<Package | undefined> {
    const result = await this.apt("apt-cache", ["show", "--no-all-versions", name]);
    return result.status === 0 ? parsePackage(result.stdout) : undefined;
  }

  private apt(command: "apt-get" | "apt-cache", args: readonly string[], cwd?: string): Promise<RunResult> {
    return run(command, [`--config-file=${this.config}`, ...args], {
      signal: this.context.signal,
      ...(cwd === undefined ? {} : { cwd }),
    });
  }

  /** Reports how much has arrived in a directory, until told that the download has ended. */
  private async watch(directory: string, wanted: Package, ended: AbortSignal): Promise<void> {
    while (!ended.aborted && !this.context.signal.aborted) {
      await sleep(500, undefined, { signal: ended }).catch(() => {});
      const files = await readdir(directory).catch((): string[] => []);
      const sizes = await Promise.all(
        files.map((file) =>
          stat(join(directory, file)).then(
            (s) => s.size,
            () => 0,
          ),
        ),
      );
      const arrived = sizes.reduce((sum, size) => sum + size, 0);
      this.context.report({ stage: "download", line: wanted.file, fraction: Math.min(1, arrived / wanted.size) });
    }
  }
}

/** Reads a stanza of `apt-cache show`; undefined when it lacks what a download needs. */
export function parsePackage(lines: readonly string[]): Package | undefined {
  const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const [name, version, path, sha256] = [field("Package"), field("Version"), field("Filename"), field("SHA256")];
  const size = Number(field("Size"));
  if (!name || !version || !path || !sha256 || !(size > 0)) return undefined;
  return { name, version, file: basename(path), size, sha256 };
}

async function isIntact(path: string, wanted: Package): Promise<boolean> {
  return (await exists(path)) && (await stat(path)).size === wanted.size && (await digestFile(path)) === wanted.sha256;
}
