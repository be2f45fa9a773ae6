/** The ROM of a function: its images are read to the byte, and nothing else of it. */
import { imagesSize, makeRom, ROM_SIZE } from "../model/pci/rom.ts";
import { command, MEMORY_OFF, MEMORY_ON, ROM, readBar, writeBar } from "./bar-calls.ts";
import { getRegionInfo, throughContainer } from "./calls.ts";
import { BY_GROUP, readConfig, WAYS, writeConfig } from "./config-calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const IMAGES = imagesSize(makeRom(0, 0));
/** Where configuration space has the address of the ROM, and the bit that enables it. */
const ROM_AT = 0x30;

export const ROMS: readonly Scenario[] = [
  ...WAYS.map(({ way, needs, open }) =>
    scenario({
      id: `rom-reads-${way}`,
      title: "a ROM reads as its images, and as ones from their end to that of its BAR",
      needs,
      steps: [
        ...open("bridged0"),
        getRegionInfo("@device", ROM),
        gives(2, readBar(ROM, 0, 2)),
        gives(256, readBar(ROM, 0, 256)),
        gives(7, readBar(ROM, 1, 7)),
        gives(64, readBar(ROM, 3 * 512 - 16, 64)),
        gives(32, readBar(ROM, IMAGES - 16, 32)),
        gives(5, readBar(ROM, IMAGES - 3, 5)),
        gives(8, readBar(ROM, IMAGES, 8)),
        gives(16, readBar(ROM, ROM_SIZE - 16, 16)),
        gives(16, readBar(ROM, ROM_SIZE - 16, 256)),
        refused("EINVAL", readBar(ROM, ROM_SIZE, 1)),
        refused("EINVAL", writeBar(ROM, 0, [1])),
        refused("EFAULT", readBar(ROM, 0, 4, "unmapped")),
        refused("EFAULT", readBar(ROM, IMAGES - 4, 16, 6)),
      ],
    }),
  ),
  scenario({
    id: "rom-memory-disabled",
    title: "a ROM is described whether memory answers or not, and read while it does",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("bridged0"),
      command(MEMORY_OFF),
      getRegionInfo("@device", ROM),
      refused("ENOMEM", readBar(ROM, 0, 4)),
      refused("ENOMEM", readBar(ROM, IMAGES, 4)),
      refused("EINVAL", readBar(ROM, ROM_SIZE, 4)),
      refused("EINVAL", writeBar(ROM, 0, [1])),
      command(MEMORY_ON),
      gives(4, readBar(ROM, 0, 4)),
    ],
  }),
  scenario({
    id: "rom-enable-bit",
    title: "the bit that enables a ROM is the user's to write, and the ROM is read with it or without",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("bridged0"),
      gives(4, readConfig(ROM_AT, 4)),
      gives(16, readBar(ROM, 0, 16)),
      gives(4, writeConfig(ROM_AT, [0xff, 0xff, 0xff, 0xff])),
      gives(4, readConfig(ROM_AT, 4)),
      gives(16, readBar(ROM, 0, 16)),
      gives(4, writeConfig(ROM_AT, [0, 0, 0, 0])),
      gives(4, readConfig(ROM_AT, 4)),
      gives(16, readBar(ROM, 512, 16)),
    ],
  }),
  scenario({
    id: "rom-none",
    title: "a function without a ROM has a region of no size in its place",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("bridged1"),
      getRegionInfo("@device", ROM),
      refused("EINVAL", readBar(ROM, 0, 4)),
      refused("EINVAL", writeBar(ROM, 0, [1])),
      gives(4, writeConfig(ROM_AT, [0xff, 0xff, 0xff, 0xff])),
      gives(4, readConfig(ROM_AT, 4)),
    ],
  }),
];
