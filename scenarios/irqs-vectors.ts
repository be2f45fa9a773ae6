/** MSI and MSI-X of PCI functions: vectors, each signalled on its eventfd. */
import { PCI_IRQ } from "../model/vfio/device-info.ts";
import { IRQ_SET } from "../model/vfio/irqs.ts";
import { openEventfd } from "./calls.ts";
import { adapter, bytes, end, plain, raise, set, signalled, silent } from "./irq-calls.ts";
import { LEGACY } from "./needs.ts";
import { refused, type Scenario, scenario } from "./scenario.ts";

const { MSI, MSIX } = PCI_IRQ;
const { MASK, UNMASK, TRIGGER } = IRQ_SET;
const DYNAMIC = { ...LEGACY, since: "6.5" } as const;
const FIXED = { ...LEGACY, until: "6.4" } as const;

export const VECTOR_IRQS: readonly Scenario[] = [
  scenario({
    id: "msi-life",
    title: "MSI is signalled on its eventfd as long as it is in use; it can't be masked",
    needs: LEGACY,
    steps: [
      ...adapter,
      refused("ERANGE", set(MSI, [])),
      set(MSI, ["@eventfd"]),
      raise(MSI),
      signalled("@eventfd"),
      refused("ENOTTY", plain(MSI, MASK)),
      refused("ENOTTY", plain(MSI, UNMASK)),
      set(MSI, ["@eventfd1"]),
      raise(MSI),
      signalled("@eventfd1"),
      set(MSI, [-1]),
      raise(MSI),
      silent("@eventfd1"),
      end(MSI),
      refused("EINVAL", end(MSI)),
      refused("EINVAL", raise(MSI)),
    ],
  }),
  scenario({
    id: "msix-vectors",
    title: "MSI-X vectors are signalled one by one, those that are asked for",
    needs: LEGACY,
    steps: [
      ...adapter,
      set(MSIX, ["@eventfd", -1, "@eventfd1"]),
      raise(MSIX, 3),
      signalled("@eventfd"),
      signalled("@eventfd1"),
      raise(MSIX, 1, 2),
      silent("@eventfd"),
      signalled("@eventfd1"),
      bytes(MSIX, TRIGGER, 0x010100, 3),
      silent("@eventfd"),
      signalled("@eventfd1"),
      set(MSIX, ["@eventfd1"], 1),
      raise(MSIX, 2, 1),
      signalled("@eventfd1"),
      set(MSIX, [-1, -1, -1]),
      raise(MSIX, 3),
      silent("@eventfd"),
      silent("@eventfd1"),
      end(MSIX),
    ],
  }),
  scenario({
    id: "msix-grows",
    title: "MSI-X vectors are added while others are in use",
    needs: DYNAMIC,
    steps: [
      ...adapter,
      set(MSIX, ["@eventfd"]),
      raise(MSIX, 5),
      signalled("@eventfd"),
      set(MSIX, ["@eventfd1", "@eventfd1"], 3),
      raise(MSIX, 5),
      signalled("@eventfd"),
      signalled("@eventfd1"),
      set(MSIX, [-1], 2),
      refused("EBADF", set(MSIX, [900], 2)),
      set(MSIX, [], 4),
    ],
  }),
  scenario({
    id: "msix-fixed",
    title: "before 6.5 MSI-X has the vectors that it was put to use with, and no more can be set or raised",
    needs: FIXED,
    steps: [
      ...adapter,
      refused("EINVAL", set(MSIX, [], 2)),
      set(MSIX, ["@eventfd", -1]),
      raise(MSIX, 2),
      refused("EINVAL", raise(MSIX, 3)),
      refused("EINVAL", set(MSIX, ["@eventfd1"], 2)),
      refused("EINVAL", set(MSIX, [-1], 2)),
      refused("EINVAL", set(MSIX, [], 2)),
      set(MSIX, ["@eventfd1"], 1),
      end(MSIX),
      set(MSIX, ["@eventfd", -1, -1, -1, "@eventfd1"]),
      raise(MSIX, 5),
      signalled("@eventfd"),
      signalled("@eventfd1"),
    ],
  }),
  scenario({
    id: "msix-undone",
    title: "vectors set in one call that fails have no eventfd from then on, up to the one that failed",
    needs: LEGACY,
    steps: [
      ...adapter,
      openEventfd("@eventfd2"),
      refused("EBADF", set(MSIX, ["@eventfd", 900])),
      refused("EINVAL", raise(MSIX)),
      set(MSIX, ["@eventfd", "@eventfd1", "@eventfd2"]),
      refused("EINVAL", set(MSIX, [-1, "@group", "@eventfd"])),
      raise(MSIX, 3),
      silent("@eventfd"),
      silent("@eventfd1"),
      signalled("@eventfd2"),
    ],
  }),
];
