/** Configuration space of functions: what users find there, and what becomes of what they write. */
import type { Call } from "../model/program.ts";
import { close, getDeviceFd, resetDevice, throughContainer } from "./calls.ts";
import { inRegion, MOST, readAll, readConfig, WAYS, writeConfig } from "./config-calls.ts";
import { gives, refused, type Scenario, type Step, scenario } from "./scenario.ts";

const BY_GROUP = { kconfig: ["VFIO_GROUP", "VFIO_CONTAINER"] } as const;
const ONES = [0xff, 0xff, 0xff, 0xff];
const ZEROS = [0, 0, 0, 0];
/** Of e1000e: power management, MSI, PCI Express. */
const E1000E = { POWER: 0xcc, MSI: 0xd0, EXPRESS: 0xe0 } as const;
/** Of nvme: power management, PCI Express. */
const NVME = { POWER: 0x64, EXPRESS: 0x80 } as const;

const at = (index: number, offset: number, count = 4): Call => ({
  op: "pread",
  fd: "@device",
  count,
  offset: inRegion(index, offset),
});

/** Functions of the machine, one of each kind, and the length of their configuration space. */
const KINDS = [
  ["nic0.0", 4096],
  ["edu0", 256],
  ["bridged0", 256],
  ["rooted0", 4096],
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
  for (let offset = begin; offset < end; offset += 4) {
    if (![0, 1, 2, 3].some((byte) => spared(device, offset + byte)))
      calls.push(writeConfig(offset, [0x5a, 0xff, 0, 0x3c]));
  }
  calls.push(readConfig(begin, end - begin));
  return calls;
}

/** A program holds some hundred calls with buffers, so a space is swept in parts; most of a long one is of one kind. */
const PARTS = [
  [0x00, 0x40],
  [0x40, 0x80],
  [0x80, 0xc0],
  [0xc0, 0x100],
  [0x100, 0x150],
  [0xfc0, 0x1000],
] as const;

const SWEEPS: readonly Scenario[] = KINDS.flatMap(([device, size]) =>
  PARTS.filter(([, end]) => end <= size).map(([begin, end]) =>
    scenario({
      id: `config-sweep-${device.replace(".", "-")}-${begin.toString(16)}`,
      title: `every byte of ${device} from 0x${begin.toString(16)} on, below 0x${end.toString(16)}: what is read, and what writing changes`,
      needs: BY_GROUP,
      steps: [...throughContainer(device), ...sweep(device, begin, end)],
    }),
  ),
);

/** Whole spaces as they are found, by each way in. */
const READS: readonly Scenario[] = WAYS.flatMap(({ way, needs, open }) =>
  KINDS.map(([device, size]) =>
    scenario({
      id: `config-read-${device.replace(".", "-")}-${way}`,
      title: `all of the configuration space of ${device}, as it is found`,
      needs,
      steps: [...open(device), ...readAll(size), refused("EFAULT", readConfig(size, 1))],
    }),
  ),
);

const ends = (device: string, size: number): (Call | Step)[] => [
  ...throughContainer(device),
  gives(4, readConfig(size - 4, 4)),
  gives(1, readConfig(size - 1, 1)),
  refused("EFAULT", readConfig(size - 1, 2)),
  refused("EFAULT", readConfig(size - MOST + 4, MOST)),
  refused("EFAULT", readConfig(size, 4)),
  refused("EFAULT", writeConfig(size - 2, ONES)),
  gives(0, readConfig(size, 0)),
  gives(3, readConfig(size - 3, 3)),
  gives(8, readConfig(0x01, 8)),
  gives(0, at(20, 0, 0)),
  refused("EINVAL", at(9, 0)),
  refused("EINVAL", at(8, 0xa0000)),
  refused("EINVAL", at(0, 0x200000)),
  refused("EINVAL", at(5, 0)),
  refused("EINVAL", at(6, 0)),
  refused("EINVAL", { op: "pwrite", fd: "@device", count: 4, offset: inRegion(6, 0), bytes: ONES }),
  refused("EFAULT", { ...readConfig(0, 4), place: "readonly" } as Call),
  refused("EFAULT", { ...readConfig(0, 8), place: 4 } as Call),
  refused("EFAULT", { ...writeConfig(0x3c, [5, 0]), place: "unmapped" } as Call),
];

export const CONFIG_SPACE: readonly Scenario[] = [
  ...READS,
  ...SWEEPS,
  scenario({
    id: "config-ends",
    title: "accesses at the end of a configuration space, past it, and where there is no region",
    needs: BY_GROUP,
    steps: ends("bridged0", 256),
  }),
  scenario({
    id: "config-ends-extended",
    title: "the same of a space of 4 KiB",
    needs: BY_GROUP,
    steps: ends("rooted0", 4096),
  }),
  scenario({
    id: "config-bar-sizing",
    title: "BARs tell their sizes when all ones are written, and take any address; the function's own stay",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("nic0.0"),
      ...[0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30].flatMap((bar) => [
        readConfig(bar, 4),
        writeConfig(bar, ONES),
        readConfig(bar, 4),
        writeConfig(bar, [0x12, 0x34, 0x56, 0x78]),
        readConfig(bar, 4),
        writeConfig(bar, ZEROS),
        readConfig(bar, 4),
      ]),
      writeConfig(0x12, [0x77]),
      readConfig(0x10, 16),
      close("@device"),
      getDeviceFd("@group", "nic0.0"),
      readConfig(0x10, 0x24),
    ],
  }),
  scenario({
    id: "config-bar-64",
    title: "a BAR of 64 bits takes two registers",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("rooted0"),
      readConfig(0x10, 8),
      writeConfig(0x10, [...ONES, ...ONES]),
      readConfig(0x10, 8),
      writeConfig(0x14, [1, 2, 3, 4]),
      readConfig(0x10, 8),
    ],
  }),
  scenario({
    id: "config-command",
    title:
      "the command register: decoding and bus mastering go to the function, disabled interrupts are the user's copy",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("nic0.0"),
      readConfig(0x04, 4),
      writeConfig(0x04, [0x07, 0x00]),
      readConfig(0x04, 4),
      writeConfig(0x04, [0x00, 0x04]),
      readConfig(0x04, 2),
      writeConfig(0x05, [0x00]),
      readConfig(0x04, 2),
      writeConfig(0x04, ONES),
      readConfig(0x04, 4),
      resetDevice("@device"),
      readConfig(0x04, 4),
      close("@device"),
      getDeviceFd("@group", "nic0.0"),
      readConfig(0x04, 4),
    ],
  }),
  scenario({
    id: "config-power",
    title: "D3hot and back: the function keeps answering, and has its registers again, also where D3hot is a reset",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("nic0.0"),
      writeConfig(0x04, [0x06, 0x01]),
      readConfig(E1000E.POWER, 4),
      writeConfig(E1000E.POWER, [0x03, 0x00]),
      readConfig(E1000E.POWER, 4),
      readConfig(0x04, 4),
      writeConfig(E1000E.POWER, [0x01]),
      readConfig(E1000E.POWER, 4),
      writeConfig(0x04, [0x00, 0x00]),
      readConfig(0x04, 4),
      writeConfig(E1000E.POWER, [0x00, 0x00]),
      readConfig(E1000E.POWER, 4),
      readConfig(0x04, 4),
      writeConfig(E1000E.POWER, [0x02, 0x1e]),
      readConfig(E1000E.POWER, 4),
      writeConfig(E1000E.POWER, ONES),
      readConfig(E1000E.POWER, 4),
      resetDevice("@device"),
      readConfig(E1000E.POWER, 4),
    ],
  }),
  scenario({
    id: "config-power-kept",
    title: "the same of a function that keeps its registers in D3hot",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("rooted0"),
      readConfig(NVME.POWER, 4),
      writeConfig(NVME.POWER, [0x03]),
      readConfig(NVME.POWER, 4),
      writeConfig(0x04, [0x00, 0x00]),
      writeConfig(NVME.POWER, [0x00]),
      readConfig(NVME.POWER, 4),
      readConfig(0x04, 4),
      writeConfig(NVME.POWER, [0x03]),
      close("@device"),
      getDeviceFd("@group", "rooted0"),
      readConfig(NVME.POWER, 4),
    ],
  }),
  scenario({
    id: "config-flr",
    title: "a function level reset that is asked for by writing, which leaves the user's copy as it is",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("rooted0"),
      writeConfig(0x04, [0x06, 0x00]),
      writeConfig(0x10, ONES),
      writeConfig(0x3c, [0x2a]),
      writeConfig(NVME.EXPRESS + 8, [0x7f, 0xfd]),
      readConfig(NVME.EXPRESS, 0x14),
      readConfig(0x00, 0x40),
      writeConfig(NVME.POWER, [0x03]),
      writeConfig(NVME.EXPRESS + 9, [0x80]),
      readConfig(NVME.POWER, 4),
      readConfig(NVME.EXPRESS + 8, 4),
      close("@device"),
      getDeviceFd("@group", "rooted0"),
      readConfig(NVME.EXPRESS, 0x14),
      readConfig(0x00, 0x40),
    ],
  }),
  scenario({
    id: "config-msi",
    title: "address and data of MSI are the user's copy, and nothing is enabled by writing that it is",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("edu0"),
      readConfig(0x40, 0x10),
      writeConfig(0x42, [0x71, 0x00]),
      readConfig(0x42, 2),
      writeConfig(0x44, [0, 0, 0xe0, 0xfe, 1, 2, 3, 4, 0x21, 0x40]),
      readConfig(0x40, 0x10),
      writeConfig(0x40, [0x11, 0x22, 0x01, 0xff]),
      readConfig(0x40, 4),
    ],
  }),
  scenario({
    id: "config-msi-control",
    title: "what MSI is capable of can't be written",
    needs: BY_GROUP,
    breaks: "msi-capable-written",
    steps: [
      ...throughContainer("edu0"),
      writeConfig(0x42, [0xff, 0xff]),
      readConfig(0x42, 2),
      writeConfig(0x42, [0x00]),
      readConfig(0x42, 2),
    ],
  }),
  scenario({
    id: "config-interrupt-line",
    title: "the interrupt line is the user's to note in, the pin is not",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("edu0"),
      readConfig(0x3c, 4),
      writeConfig(0x3c, [0x77, 0x04, 0x05, 0x06]),
      readConfig(0x3c, 4),
      close("@device"),
      getDeviceFd("@group", "edu0"),
      readConfig(0x3c, 4),
    ],
  }),
];
