/** A VGA adapter: the region of the ranges that all such adapters have. */
import { PCI_REGION } from "../model/vfio/device-info.ts";
import { command, MEMORY_OFF, readBar, writeBar } from "./bar-calls.ts";
import { ioctl, throughContainer } from "./calls.ts";
import { BY_GROUP, inRegion } from "./config-calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const { VGA, ROM } = PCI_REGION;
const NEEDS = { ...BY_GROUP, kconfig: [...BY_GROUP.kconfig, "VFIO_PCI_VGA"] } as const;
const NOT_EVEN_PORTS = 0;
const [MEMORY, MEMORY_END] = [0xa_0000, 0xc_0000];
const [MONOCHROME, MONOCHROME_END, COLOUR, COLOUR_END] = [0x3b0, 0x3bc, 0x3c0, 0x3e0];

const regionInfo = (index: number, argsz = 32) => ioctl("@device", "VFIO_DEVICE_GET_REGION_INFO", { argsz, index });

export const VGA_ADAPTER: readonly Scenario[] = [
  scenario({
    id: "vga-region",
    title: "the region of a VGA adapter's ranges, and its ROM, which nobody shadows",
    needs: NEEDS,
    steps: [
      ...throughContainer("vga0"),
      regionInfo(VGA),
      regionInfo(0),
      regionInfo(2),
      regionInfo(ROM),
      refused("ENOMEM", readBar(ROM, 0, 4)),
      refused("EINVAL", writeBar(ROM, 0, [1])),
    ],
  }),
  scenario({
    id: "vga-ranges",
    title: "memory and I/O ports of a VGA adapter are read up to the end of their range, and nothing between",
    needs: NEEDS,
    steps: [
      ...throughContainer("vga0"),
      ...[
        [MONOCHROME, MONOCHROME_END],
        [COLOUR, COLOUR_END],
        [MEMORY, MEMORY_END],
      ].flatMap(([from = 0, to = 0]) => [
        gives(4, readBar(VGA, from, 4)),
        gives(3, readBar(VGA, from + 1, 3)),
        gives(2, readBar(VGA, to - 2, 8)),
        refused("EINVAL", readBar(VGA, to, 1)),
        refused("EINVAL", readBar(VGA, from - 1, 4)),
        refused("EINVAL", writeBar(VGA, to, [1])),
        refused("EFAULT", readBar(VGA, from, 4, "unmapped")),
        refused("EFAULT", writeBar(VGA, from, [1, 2, 3, 4], "unmapped")),
      ]),
      gives(0, readBar(VGA, MEMORY_END, 0)),
    ],
  }),
  scenario({
    id: "vga-disabled",
    title: "a VGA adapter's ranges are read while the command register disables memory and I/O ports",
    needs: NEEDS,
    steps: [
      ...throughContainer("vga0"),
      command(MEMORY_OFF),
      gives(4, readBar(VGA, MEMORY, 4)),
      command(NOT_EVEN_PORTS),
      gives(1, readBar(VGA, COLOUR, 1)),
      gives(4, readBar(VGA, MEMORY, 4)),
      refused("EIO", readBar(0, 0, 4)),
      gives(2, { op: "pread", fd: "@device", count: 2, offset: inRegion(PCI_REGION.CONFIG, 4) }),
    ],
  }),
  scenario({
    id: "vga-of-none",
    title: "a function that is no VGA adapter has nothing in the VGA region",
    needs: BY_GROUP,
    steps: [
      ...throughContainer("edu0"),
      refused("EINVAL", readBar(VGA, MEMORY, 4)),
      refused("EINVAL", writeBar(VGA, COLOUR, [1])),
    ],
  }),
];
