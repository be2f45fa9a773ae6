/** What descriptors of a guest of idxd do, how that is told, and with which PASIDs. */
import { FLAG } from "../model/mdev/idxd/descriptor.ts";
import { OPERATION } from "../model/mdev/idxd/mmio.ts";
import { COMMAND, GENCTRL, MSIX_PERM, REG, WQ_CONTROL } from "../model/mdev/idxd/registers.ts";
import { allocIoas, attach, attachPasid, destroy, detachPasid, map, throughNode } from "./calls.ts";
import {
  command,
  configureQueue,
  createVdsa,
  enableDevice,
  enablePasids,
  enableQueue,
  eventfds,
  guest,
  RECORDED,
  readQueue,
  reportLog,
  setBusMaster,
  setRegister,
  start,
  startLog,
  submit,
} from "./idxd-calls.ts";
import { signalled, silent } from "./irq-calls.ts";
import { CDEV, LEGACY } from "./needs.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const { MEMMOVE, MEMFILL } = OPERATION;
const { PASID_ENABLE, BLOCK_ON_FAULT, PASID_SHIFT } = WQ_CONTROL;
/** Commands about queues name theirs by a bit. */
const FIRST_QUEUE = 1;
/** A record at the begin of the second page. */
const RECORD = 0x1000n;
const UNMAPPED = 0x10_0000n;

export const IDXD_DESCRIPTORS: readonly Scenario[] = [
  scenario({
    id: "idxd-shared",
    title: "a guest of a shared queue gives its PASID with each descriptor, and is told of its own errors only",
    needs: LEGACY,
    steps: [
      createVdsa("vdsa1", "shared"),
      ...guest("shared"),
      ...eventfds,
      setRegister(REG.GENCTRL, GENCTRL.SOFTERR_INT),
      setBusMaster(true),
      enableDevice,
      enableQueue,
      command(COMMAND.RESET_DEVICE),
      setRegister(REG.GENCTRL, GENCTRL.SOFTERR_INT),
      ...enablePasids(),
      enableDevice,
      enableQueue,
      gives(64, submit({ operation: MEMFILL, flags: RECORDED, record: RECORD, size: 32 })),
      refused("EINVAL", submit({ pasid: 7 })),
      silent("@eventfd"),
      gives(64, submit({ operation: MEMFILL, flags: RECORDED, record: UNMAPPED, size: 32 })),
      signalled("@eventfd"),
      gives(64, submit({ operation: 0x20 })),
      silent("@eventfd"),
      command(COMMAND.DISABLE_WQ, FIRST_QUEUE),
      gives(8, readQueue("wq0.2", "state")),
    ],
  }),
  scenario({
    id: "idxd-descriptors-refused",
    title: "descriptors that can't be carried out tell why in their completion record, or in SWERR",
    needs: LEGACY,
    steps: [
      ...guest(),
      ...eventfds,
      gives(64, submit({ operation: MEMFILL, size: 64 })),
      setRegister(REG.GENCTRL, GENCTRL.SOFTERR_INT),
      ...start,
      ...[
        { operation: 2 },
        { operation: MEMFILL, flags: FLAG.BLOCK_ON_FAULT, size: 8 },
        { operation: MEMFILL },
        { operation: MEMMOVE, size: 4097 },
        { flags: FLAG.INTERRUPT },
        { flags: FLAG.RECORD_VALID, record: 8n },
        { flags: FLAG.RECORD_VALID, record: UNMAPPED },
        { operation: MEMMOVE, source: UNMAPPED, size: 64 },
      ].flatMap((descriptor) => [
        gives(64, submit(descriptor)),
        signalled("@eventfd"),
        setRegister(REG.SWERR, 3),
        setRegister(REG.INTCAUSE, 1),
      ]),
      gives(64, submit({ operation: MEMFILL, destination: 0x1ff0n, size: 64, flags: RECORDED, record: RECORD })),
      silent("@eventfd"),
    ],
  }),
  scenario({
    id: "idxd-interrupt-blocked",
    title: "an interrupt is asked for with the PASID that its vector is set up with, or blocked",
    needs: LEGACY,
    steps: [
      ...guest(),
      ...eventfds,
      ...start,
      command(COMMAND.REQUEST_INT_HANDLE, 1),
      gives(64, submit({ flags: FLAG.INTERRUPT })),
      signalled("@eventfd1"),
      setRegister(REG.MSIX_PERM + 8, MSIX_PERM.PASID_ENABLE | (9 << MSIX_PERM.PASID_SHIFT)),
      gives(64, submit({ flags: FLAG.INTERRUPT })),
      silent("@eventfd1"),
      setRegister(REG.MSIX_PERM + 8, 0),
      gives(64, submit({ flags: FLAG.INTERRUPT })),
      signalled("@eventfd1"),
    ],
  }),
  scenario({
    id: "idxd-page-requests",
    title: "a descriptor that may block asks for the page; without an answer it ends, as one that may not",
    needs: LEGACY,
    steps: [
      createVdsa("vdsa1"),
      ...guest("dedicated", "vdsa0"),
      ...eventfds,
      ...enablePasids(),
      configureQueue(BLOCK_ON_FAULT),
      setRegister(REG.GENCTRL, GENCTRL.SOFTERR_INT),
      ...start,
      gives(64, submit({ operation: MEMFILL, flags: FLAG.BLOCK_ON_FAULT, destination: UNMAPPED, size: 8 })),
      signalled("@eventfd"),
    ],
  }),
  scenario({
    id: "idxd-guest-pasids",
    title: "a guest's PASID leads where it was attached, by a number of the host's that it never sees",
    needs: { ...CDEV, since: "6.15" },
    steps: [
      createVdsa("vdsa0"),
      ...throughNode("vdsa0"),
      allocIoas("@iommufd"),
      allocIoas("@iommufd", "@other"),
      map("@iommufd", "@other", 0, 8192),
      attach("@device", "@ioas"),
      refused("ENOENT", attachPasid("@device", "@devid", 1)),
      refused("EINVAL", attachPasid("@device", "@ioas", 0)),
      refused("EINVAL", attachPasid("@device", "@ioas", 2 ** 20)),
      attachPasid("@device", "@ioas", 5),
      attachPasid("@device", "@other", 5),
      refused("EBUSY", destroy("@iommufd", "@other")),
      ...eventfds,
      setRegister(REG.GENCTRL, GENCTRL.SOFTERR_INT),
      ...enablePasids(),
      configureQueue(PASID_ENABLE | (5 << PASID_SHIFT)),
      ...start,
      gives(64, submit({ operation: MEMFILL, size: 64 })),
      silent("@eventfd"),
      detachPasid("@device", 5),
      gives(64, submit({ operation: MEMFILL, size: 64 })),
      signalled("@eventfd"),
      ...[1, 2, 3, 4, 5, 6].map((pasid) => attachPasid("@device", "@ioas", pasid)),
      refused("ENOSPC", attachPasid("@device", "@ioas", 7)),
      command(COMMAND.DISABLE_WQ, FIRST_QUEUE),
      attachPasid("@device", "@ioas", 7),
    ],
  }),
  scenario({
    id: "idxd-dirty-pages",
    title: "destinations and completion records are logged, once, where they are in a range that is logged",
    needs: { ...LEGACY, since: "6.7", kconfig: [...LEGACY.kconfig, "IOMMUFD"] },
    steps: [
      ...guest(),
      ...start,
      refused("EINVAL", reportLog()),
      startLog,
      refused("EINVAL", startLog),
      gives(64, submit({ operation: MEMFILL, flags: RECORDED, record: RECORD, destination: 0n, size: 64 })),
      refused("EFAULT", reportLog("readonly")),
      reportLog(),
      reportLog(),
    ],
  }),
];
