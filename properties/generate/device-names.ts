/** Names of devices as VFIO_GROUP_GET_DEVICE_FD takes them, right and wrong. */
import type { File } from "../../model/kernel/file.ts";
import type { IoctlArgument } from "../../model/program.ts";
import { oneIn, pick } from "./dice.ts";
import type { Situation } from "./moves.ts";
import { ANY_TOKEN, asText, tokenOf } from "./tokens.ts";

/** What may and what must not stand behind a device's name; vfio-pci takes some of it. */
const OPTION = "vf_token=";
const TOKEN = `${OPTION}${asText(ANY_TOKEN)}`;
const BEHIND_NAMES = [
  " ",
  "\n",
  "0",
  ` ${TOKEN}`,
  `  ${TOKEN}  `,
  ` ${TOKEN} ${TOKEN}`,
  TOKEN,
  " vf_token=83b8f4f2-509f-382f-3c1e-e6bfe0fa100",
  " vf_token=83b8f4f2x509f-382f-3c1e-e6bfe0fa1008",
  " other=1",
] as const;
/** Longer than any name may be. */
const ENDLESS = "x".repeat(4096);

/** A name of a device, mostly of one in the file's group. */
export function deviceName({ dice, focus, machine }: Situation, file: File | null, wrong: boolean): IoctlArgument {
  if (wrong) {
    const device = pick(dice, focus.devices);
    switch (dice.roll(7)) {
      case 0:
        return { kind: "name", text: "no such device" };
      case 1:
        return { kind: "name", text: oneIn(dice, 2) ? "" : ENDLESS };
      case 2:
        return { kind: "name", device, place: pick(dice, ["null", "unmapped", 3] as const) };
      case 3:
      case 4:
        return { kind: "name", device, text: pick(dice, BEHIND_NAMES) };
    }
    return { kind: "name", device };
  }
  // A device of this very group, where the group has one.
  const own = focus.devices.filter((name) => {
    const node = machine.k.functions.find((candidate) => candidate.spec.name === name)?.vfio;
    const vfio = node ?? machine.k.mdevs.find((candidate) => candidate.name === name)?.vfio;
    return vfio && file?.kind === "group" && "group" in file && vfio.group === file.group;
  });
  const device = pick(dice, own.length > 0 ? own : focus.devices);
  const token = tokenOf(machine.k, device);
  return token === null || oneIn(dice, 5)
    ? { kind: "name", device }
    : { kind: "name", device, text: ` ${OPTION}${asText(token)}` };
}
