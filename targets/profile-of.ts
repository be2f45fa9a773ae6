/** The profile of a real kernel: its version, and the options of its configuration that user space sees. */
import { builtIn } from "../model/kconfig.ts";
import { isBuiltIn, KCONFIG_OPTIONS, type Profile } from "../model/profile.ts";
import type { Version } from "../model/uapi/version.ts";

/** `config` is a parsed `.config`: `CONFIG_VFIO` → `y`. */
export function profileOf(version: Version, config: ReadonlyMap<string, string>): Profile {
  const always: readonly string[] = builtIn(version);
  const kconfig = KCONFIG_OPTIONS.filter((option) => {
    const set = config.get(`CONFIG_${option}`);
    return set === "y" || set === "m" || always.includes(option) || isBuiltIn(version, option);
  });
  return { version, kconfig: new Set(kconfig) };
}
