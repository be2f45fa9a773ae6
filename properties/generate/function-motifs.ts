/** How programs begin that look into the registers of functions. */

import { pick } from "./dice.ts";
import { type Motif, openDevice } from "./motifs.ts";

/** A function is opened, in whatever way. */
const opened: Motif = (on, make) => {
  openDevice(on, make, pick(on.dice, on.focus.devices));
};

export const REGISTER_MOTIFS: readonly Motif[] = [opened];
