/** Kernel versions as data: clauses, fields and ioctls say since when and until when they hold. */

/** A release such as "6.12". Point releases do not change the API and are not modelled. */
export type Version = `${number}.${number}`;

const numbers = new Map<Version, number>();

/** A number that orders versions: 6.12 → 6012. Asked on the hot path, so each version is only taken apart once. */
export function versionNumber(version: Version): number {
  let number = numbers.get(version);
  if (number === undefined) {
    const [major, minor] = version.split(".");
    number = Number(major) * 1000 + Number(minor);
    numbers.set(version, number);
  }
  return number;
}

/** "6.12" from a kernel's own release string such as "6.12.95-custom", or undefined when it does not begin with one. */
export function versionOfRelease(release: string): Version | undefined {
  const match = /^(\d+)\.(\d+)/.exec(release);
  return match ? `${Number(match[1])}.${Number(match[2])}` : undefined;
}

/** Whether a kernel of this version number lies between the first and the last version that something holds for. */
export function inRange(
  kernel: number,
  { since, until }: { readonly since?: Version | undefined; readonly until?: Version | undefined },
): boolean {
  if (since !== undefined && kernel < versionNumber(since)) return false;
  return until === undefined || kernel <= versionNumber(until);
}
