/** Tokens of physical functions and their virtual ones, as generators use them. */
import type { File } from "../../model/kernel/file.ts";
import type { Kernel } from "../../model/kernel/kernel.ts";
import type { Fields } from "../../model/program.ts";
import { DeviceFile } from "../../model/vfio/device.ts";
import { oneIn } from "./dice.ts";
import type { Situation } from "./moves.ts";

/** One that programs give where there is none yet, in hexadecimal. */
export const ANY_TOKEN = "83b8f4f2509f382f3c1ee6bfe0fa1008";

/** As it stands behind a name. */
export const asText = (token: string): string => token.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

/** As two numbers in memory. */
export function asNumbers(token: string): { readonly low: bigint; readonly high: bigint } {
  const bytes = Buffer.from(token, "hex");
  return { low: bytes.readBigUInt64LE(0), high: bytes.readBigUInt64LE(8) };
}

/** The token that opens a function now; null where it has none, or nobody knows it. */
export function tokenOf(k: Kernel, name: string): string | null {
  const pciFunction = k.functions.find(({ spec }) => spec.name === name);
  if (!pciFunction) return null;
  if (pciFunction.physical) return pciFunction.physical.vfToken?.uuid ?? null;
  return pciFunction.vfToken && (pciFunction.vfToken.uuid ?? ANY_TOKEN);
}

const TOKEN_FLAG = 1;

/** Fields that open a function through its node, and those that set its token. */
export function tokenFields({ dice, machine }: Situation, command: string, file: File | null): Fields | undefined {
  const { k } = machine;
  if (!(file instanceof DeviceFile) || file.device.backing.kind !== "pci") return undefined;
  const { spec } = file.device.backing.function;
  if (command === "VFIO_DEVICE_FEATURE_PCI_VF_TOKEN") return oneIn(dice, 2) ? asNumbers(ANY_TOKEN) : undefined;
  if (command !== "VFIO_DEVICE_BIND_IOMMUFD" || !k.since("6.17") || oneIn(dice, 5)) return undefined;
  const token = tokenOf(k, spec.name);
  if (token === null) return undefined;
  return { argsz: 24, flags: TOKEN_FLAG, token_uuid_ptr: { fields: asNumbers(token) } };
}
