/** The profile of a real kernel: its version, and the options of its configuration that user space sees. */
import { KCONFIG_OPTIONS, type Profile } from "../model/profile.ts";
import type { Version } from "../model/uapi/version.ts";

/** What was no option yet in a kernel this old was always there. */
const ALWAYS_BEFORE_6_2: ReadonlySet<string> = new Set(["VFIO_GROUP", "VFIO_CONTAINER"]);

/** `config` is a parsed `.config`: `CONFIG_VFIO` → `y`. */
export function profileOf(version: Version, config: ReadonlyMap<string, string>): Profile {
  const kconfig = KCONFIG_OPTIONS.filter((option) => {
    const set = config.get(`CONFIG_${option}`);
    return set === "y" || set === "m" || (set === undefined && ALWAYS_BEFORE_6_2.has(option) && version === "6.1");
  });
  return { version, kconfig: new Set(kconfig) };
}
