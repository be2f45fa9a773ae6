/** QEMU's network adapter: it interrupts by its line, by MSI, and by each vector of MSI-X. */
import { PAGE } from "../model/kernel/memory-map.ts";
import { E1000e } from "../model/pci/e1000e.ts";
import type { Call } from "../model/program.ts";
import { PCI_IRQ } from "../model/vfio/device-info.ts";
import { IRQ_SET } from "../model/vfio/irqs.ts";
import { command, disableIntx, MASTER_ON, MEMORY_ON, readRegister, writeRegister } from "./bar-calls.ts";
import { ioctl, openEventfd, resetDevice } from "./calls.ts";
import { BY_GROUP } from "./config-calls.ts";
import { adapter, add, end, plain, raise, set, signalled, silent, unmaskBy } from "./irq-calls.ts";
import { type Scenario, scenario } from "./scenario.ts";

const { INTX, MSI, MSIX } = PCI_IRQ;
const { UNMASK } = IRQ_SET;
const { CAUSE, CAUSE_SET, MASK_SET, MASK_CLEAR, VECTORS } = E1000e.REGISTER;
const { ALL } = E1000e;
const [RECEIVE0, RECEIVE1, TRANSMIT0, TRANSMIT1, OTHER] = [1 << 20, 1 << 21, 1 << 22, 1 << 23, 1 << 24];

/** What a driver does first: nothing interrupts, and nothing asks for it. */
const cleared: readonly Call[] = [writeRegister(MASK_CLEAR, ALL), writeRegister(CAUSE, ALL)];
const allow = (causes: number): Call => writeRegister(MASK_SET, causes);
const ask = (causes: number): Call => writeRegister(CAUSE_SET, causes);
/** Reading takes all causes back. */
const takeBack = readRegister(CAUSE);

const FIVE = ["@eventfd", "@eventfd1", "@eventfd2", "@eventfd3", "@eventfd4"] as const;
/** Vectors 0 to 4 in use; causes have the vector of their place, the first the lowest four bits. */
const vectors = (places: number): Call[] => [
  ...FIVE.slice(2).map((as) => openEventfd(as)),
  command(MASTER_ON),
  set(MSIX, [...FIVE]),
  writeRegister(VECTORS, places),
];

export const NETWORK_ADAPTER: readonly Scenario[] = [
  scenario({
    id: "adapter-line",
    title: "the line of an adapter is signalled once, once more when it is unmasked, and not after the cause was read",
    needs: BY_GROUP,
    steps: [
      ...adapter,
      ...cleared,
      set(INTX, ["@eventfd"]),
      ask(RECEIVE0),
      silent("@eventfd"),
      allow(RECEIVE0),
      signalled("@eventfd"),
      ask(RECEIVE0),
      silent("@eventfd"),
      plain(INTX, UNMASK),
      signalled("@eventfd"),
      takeBack,
      plain(INTX, UNMASK),
      silent("@eventfd"),
      ask(OTHER),
      silent("@eventfd"),
      ask(RECEIVE0),
      signalled("@eventfd"),
      writeRegister(MASK_CLEAR, ALL),
      unmaskBy("@eventfd1"),
      add("@eventfd1", 1),
      silent("@eventfd"),
      allow(OTHER),
      signalled("@eventfd"),
    ],
  }),
  scenario({
    id: "adapter-line-disabled",
    title: "the line of an adapter is not signalled while the command register disables it",
    needs: BY_GROUP,
    steps: [
      ...adapter,
      ...cleared,
      set(INTX, ["@eventfd"]),
      disableIntx(true),
      allow(TRANSMIT0),
      ask(TRANSMIT0),
      silent("@eventfd"),
      disableIntx(false),
      signalled("@eventfd"),
    ],
  }),
  scenario({
    id: "adapter-message",
    title: "MSI of an adapter signals each new cause once, of a bus master",
    needs: BY_GROUP,
    steps: [
      ...adapter,
      ...cleared,
      set(MSI, ["@eventfd"]),
      allow(RECEIVE0 | TRANSMIT0),
      ask(RECEIVE0),
      silent("@eventfd"),
      takeBack,
      command(MASTER_ON),
      ask(RECEIVE0),
      signalled("@eventfd"),
      ask(RECEIVE0),
      silent("@eventfd"),
      ask(TRANSMIT0),
      signalled("@eventfd"),
      takeBack,
      ask(RECEIVE0),
      signalled("@eventfd"),
      end(MSI),
      ...cleared,
      set(INTX, ["@eventfd1"]),
      allow(RECEIVE0),
      ask(RECEIVE0),
      signalled("@eventfd1"),
      silent("@eventfd"),
    ],
  }),
  scenario({
    id: "adapter-vectors",
    title: "each vector of MSI-X signals the eventfd that it was given",
    needs: BY_GROUP,
    steps: [
      ...adapter,
      ...cleared,
      ...vectors(0xcba98),
      allow(RECEIVE0 | RECEIVE1 | TRANSMIT0 | TRANSMIT1 | OTHER),
      ...[RECEIVE0, RECEIVE1, TRANSMIT0, TRANSMIT1, OTHER].flatMap((cause, vector) => [
        ask(cause),
        ...FIVE.map((fd, place) => (place === vector ? signalled(fd) : silent(fd))),
      ]),
      ask(RECEIVE0),
      silent("@eventfd"),
      writeRegister(CAUSE, RECEIVE0 | TRANSMIT1),
      ask(RECEIVE0 | TRANSMIT1),
      signalled("@eventfd"),
      signalled("@eventfd3"),
      silent("@eventfd1"),
    ],
  }),
  scenario({
    id: "adapter-vectors-moved",
    title: "a vector of MSI-X signals what it was given last, and causes the vector that they have by then",
    needs: BY_GROUP,
    steps: [
      ...adapter,
      ...cleared,
      ...vectors(0x9abc8),
      allow(RECEIVE1 | TRANSMIT1),
      set(MSIX, ["@eventfd"], 4),
      ask(RECEIVE1),
      signalled("@eventfd"),
      silent("@eventfd4"),
      writeRegister(VECTORS, 0x8),
      ask(TRANSMIT1),
      ...FIVE.map(silent),
      writeRegister(CAUSE, ALL),
      writeRegister(VECTORS, 0x00090),
      ask(RECEIVE1),
      signalled("@eventfd1"),
      raise(MSIX, 2, 3),
      signalled("@eventfd3"),
      signalled("@eventfd"),
      command(MEMORY_ON),
      writeRegister(CAUSE, ALL),
      ask(RECEIVE1),
      silent("@eventfd1"),
    ],
  }),
  scenario({
    id: "adapter-asked-by-eventfd",
    title: "an eventfd and a mapping ask an adapter for interrupts",
    needs: BY_GROUP,
    steps: [
      ...adapter,
      ...cleared,
      set(INTX, ["@eventfd"]),
      allow(OTHER),
      ioctl("@device", "VFIO_DEVICE_IOEVENTFD", {
        argsz: 32,
        flags: 4,
        offset: CAUSE_SET,
        data: OTHER,
        fd: "@eventfd1",
      }),
      add("@eventfd1", 1),
      signalled("@eventfd"),
      { op: "mmap", fd: "@device", length: PAGE, prot: 3, offset: 0, as: "@mapping" },
      { op: "load", at: "@mapping", offset: CAUSE, width: 4 },
      plain(INTX, UNMASK),
      silent("@eventfd"),
      { op: "store", at: "@mapping", offset: CAUSE_SET, width: 4, value: OTHER },
      signalled("@eventfd"),
    ],
  }),
  scenario({
    id: "adapter-reset",
    title: "after a reset an adapter that was cleared anew interrupts as it did before",
    needs: BY_GROUP,
    steps: [
      ...adapter,
      ...cleared,
      set(INTX, ["@eventfd"]),
      allow(RECEIVE0),
      resetDevice("@device"),
      command(MEMORY_ON),
      ...cleared,
      ask(RECEIVE0),
      silent("@eventfd"),
      allow(RECEIVE0),
      signalled("@eventfd"),
    ],
  }),
];
