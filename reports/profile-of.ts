/** The profile of the kernel that results are of. */
import type { Profile } from "../model/profile.ts";
import { versionOfRelease } from "../model/uapi/version.ts";
import type { TargetAbout } from "../targets/target.ts";

/** What the model is given to answer as that target should. */
export function profileOf({ version, kconfig, name }: TargetAbout): Profile {
  const known = versionOfRelease(version);
  if (!known) throw new Error(`${name} says that its version is ${version}, which is none of a kernel`);
  return { version: known, kconfig: new Set(kconfig) };
}
