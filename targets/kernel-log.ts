/** The kernel's log as an oracle: which records mean that something is wrong, whatever the calls returned. */

/** A report in the log. */
export interface Splat {
  /** What kind of report: `WARNING`, `KASAN`, `lockdep`, … */
  readonly kind: string;
  /** Its first line, without numbers that change from run to run. */
  readonly title: string;
}

const REPORTS: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ["KASAN", /BUG: KASAN: .*/],
  ["KASAN", /BUG: KFENCE: .*/],
  ["lockdep", /WARNING: possible (?:circular|recursive) locking .*/],
  ["lockdep", /WARNING: (?:inconsistent lock state|suspicious RCU usage|bad unlock balance|held lock freed).*/],
  ["lockdep", /WARNING: .* lock held .*/],
  ["refcount", /refcount_t: .*/],
  ["UBSAN", /UBSAN: .*/],
  ["oops", /(?:general protection fault|Oops: |BUG: unable to handle|BUG: kernel NULL pointer|kernel BUG at).*/],
  ["hung task", /INFO: task \S+ blocked for more than .*/],
  ["stall", /(?:rcu: INFO: \S+ (?:self-)?detected stall|watchdog: BUG: soft lockup).*/],
  ["atomic sleep", /BUG: (?:sleeping function called|scheduling while atomic).*/],
  ["list", /list_(?:add|del) corruption.*/],
  ["page", /BUG: Bad (?:page|rss).*/],
  ["sysfs", /(?:sysfs: cannot create duplicate|kobject: .* is not initialized).*/],
  ["ODEBUG", /ODEBUG: .*/],
  ["WARNING", /WARNING: .*/],
  ["BUG", /BUG: .*/],
];

/** The reports in a log, in order, each once. */
export function splats(log: string): Splat[] {
  if (log === "") return [];
  const found: Splat[] = [];
  for (const line of log.split("\n")) {
    for (const [kind, pattern] of REPORTS) {
      const match = pattern.exec(line);
      if (!match) continue;
      const title = generalise(match[0]);
      if (!found.some((other) => other.kind === kind && other.title === title)) found.push({ kind, title });
      break;
    }
  }
  return found;
}

/** Addresses, processes, CPUs and offsets differ from run to run; what is left names the place. */
function generalise(line: string): string {
  return line
    .replace(/\bCPU: ?\d+ ?/g, "")
    .replace(/\bPID: ?\d+ ?/g, "")
    .replace(/\+0x[0-9a-f]+\/0x[0-9a-f]+/g, "")
    .replace(/\b(?:0x)?[0-9a-f]{12,16}\b/g, "…")
    .replace(/\/\d+\b/g, "")
    .trim();
}
