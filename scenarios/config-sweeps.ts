/** Whole configuration spaces of functions: as they are found, and byte by byte what writing changes. */
import type { Call } from "../model/program.ts";
import { throughContainer } from "./calls.ts";
import { BY_GROUP, E1000E, MOST, NVME, readAll, readConfig, WAYS, writeConfig } from "./config-calls.ts";
import { refused, type Scenario, scenario } from "./scenario.ts";

/** Functions of the machine, one of each kind, and the length of their configuration space. */
const KINDS = [
  ["nic0.0", 4096],
  ["edu0", 256],
  ["bridged0", 256],
  ["rooted0", 4096],
  ["vga0", 256],
] as const;

/** Bytes that a sweep leaves alone: the power state, and what resets the function. */
const spared = (device: string, offset: number): boolean =>
  (device === "nic0.0" && offset === E1000E.POWER) ||
  (device === "rooted0" && (offset === NVME.POWER || offset === NVME.EXPRESS + 9));

/** Writes each byte of a space on its own, and reads what has become of them; then the same by words of four. */
function sweep(device: string, begin: number, end: number): Call[] {
  const calls: Call[] = [];
  for (const value of [0xff, 0x00, 0xa5]) {
    for (let offset = begin; offset < end; offset++) {
      if (!spared(device, offset)) calls.push(writeConfig(offset, [value]));
    }
    calls.push(readConfig(begin, end - begin));
  }
  return [...calls, ...sweepWords(device, begin, end)];
}

/** Writes each word of four bytes, and reads what has become of them. */
function sweepWords(device: string, begin: number, end: number): Call[] {
  const calls: Call[] = [];
  for (let offset = begin; offset < end; offset += 4) {
    if (![0, 1, 2, 3].some((byte) => spared(device, offset + byte)))
      calls.push(writeConfig(offset, [0x5a, 0xff, 0, 0x3c]));
  }
  calls.push(readConfig(begin, end - begin));
  return calls;
}

/** A program holds some hundred calls with buffers, so a space is swept in parts: by bytes where capabilities lie. */
const PARTS = [
  ...[0x00, 0x40, 0x80, 0xc0].map((begin) => ({ begin, end: begin + 0x40, by: sweep })),
  { begin: 0x100, end: 0x150, by: sweep },
  { begin: 0x150, end: 0x200, by: sweepWords },
  ...Array.from({ length: 13 }, (_, part) => ({
    begin: 0x200 + part * MOST,
    end: 0x300 + part * MOST,
    by: sweepWords,
  })),
  { begin: 0xf00, end: 0xfc0, by: sweepWords },
  { begin: 0xfc0, end: 0x1000, by: sweep },
];

export const CONFIG_SWEEPS: readonly Scenario[] = KINDS.flatMap(([device, size]) =>
  PARTS.filter(({ end }) => end <= size).map(({ begin, end, by }) =>
    scenario({
      id: `config-sweep-${device.replace(".", "-")}-${begin.toString(16)}`,
      title: `every byte of ${device} from 0x${begin.toString(16)} on, below 0x${end.toString(16)}: what is read, and what writing changes`,
      needs: BY_GROUP,
      steps: [...throughContainer(device), ...by(device, begin, end)],
    }),
  ),
);

/** Whole spaces as they are found, by each way in. */
export const CONFIG_READS: readonly Scenario[] = WAYS.flatMap(({ way, needs, open }) =>
  KINDS.map(([device, size]) =>
    scenario({
      id: `config-read-${device.replace(".", "-")}-${way}`,
      title: `all of the configuration space of ${device}, as it is found`,
      needs,
      steps: [...open(device), ...readAll(size), refused("EFAULT", readConfig(size, 1))],
    }),
  ),
);
