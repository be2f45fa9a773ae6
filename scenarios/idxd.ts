/**
 * Mediated devices of idxd, as its series had them: a work queue of the host's is a PCI device for a guest. Only the model has such a
 * machine.
 */
import { FLAG } from "../model/mdev/idxd/descriptor.ts";
import { OPERATION } from "../model/mdev/idxd/mmio.ts";
import { COMMAND } from "../model/mdev/idxd/registers.ts";
import type { Call } from "../model/program.ts";
import { close, getInfo, getRegionInfo, openGroup, removeMdev, unsetContainer } from "./calls.ts";
import {
  available,
  command,
  createVdsa,
  enableDevice,
  enableQueue,
  eventfds,
  guest,
  mapPortal,
  openQueue,
  queueDriver,
  RECORDED,
  readQueue,
  setBusMaster,
  start,
  submit,
  writeQueue,
} from "./idxd-calls.ts";
import { signalled, silent } from "./irq-calls.ts";
import { LEGACY } from "./needs.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const { MEMMOVE, MEMFILL } = OPERATION;
/** Commands about queues name theirs by a bit. */
const FIRST_QUEUE = 1;
/** A record at the begin of the second page. */
const RECORD = 0x1000n;

/** UUIDs that the machine has no names for. */
const crowd = (count: number): string[] =>
  Array.from({ length: count }, (_, n) => `0d0e0a0d-0000-4000-8000-${n.toString(16).padStart(12, "0")}`);
const createShared = (uuid: string): Call => {
  const call = createVdsa("vdsa0", "shared");
  return call.op === "sysfs-write" ? { ...call, text: { text: uuid } } : call;
};

export const IDXD: readonly Scenario[] = [
  scenario({
    id: "idxd-guest",
    title: "a guest gets a dedicated queue, enables it, submits, and is told that it is done",
    needs: LEGACY,
    steps: [
      gives(2, available("dedicated")),
      ...guest(),
      gives(2, available("dedicated")),
      gives(7, readQueue("wq0.0", "state")),
      getInfo("@device"),
      ...[0, 2, 7].map((index) => getRegionInfo("@device", index)),
      ...eventfds,
      setBusMaster(true),
      command(COMMAND.REQUEST_INT_HANDLE, 1, true),
      signalled("@eventfd"),
      enableDevice,
      enableQueue,
      gives(8, readQueue("wq0.0", "state")),
      mapPortal(0),
      mapPortal(1),
      gives(
        64,
        submit({
          operation: MEMFILL,
          flags: RECORDED | FLAG.INTERRUPT,
          record: RECORD,
          source: 0x1122n,
          destination: 0n,
          size: 64,
        }),
      ),
      signalled("@eventfd1"),
      gives(
        64,
        submit({ operation: MEMMOVE, flags: RECORDED, record: RECORD, source: 0n, destination: 0x800n, size: 64 }),
      ),
      silent("@eventfd1"),
      command(COMMAND.DRAIN_WQ, FIRST_QUEUE),
      command(COMMAND.DISABLE_WQ, FIRST_QUEUE),
      command(COMMAND.RELEASE_INT_HANDLE, 0),
      command(COMMAND.DISABLE_DEVICE),
    ],
  }),
  scenario({
    id: "idxd-types",
    title: "what types say; a queue that is disabled, or another's, is none for a guest",
    steps: [
      gives(2, available("dedicated")),
      gives(2, available("shared")),
      createVdsa("vdsa0"),
      createVdsa("vdsa1"),
      refused("ENODEV", createVdsa("vdsa2")),
      removeMdev("vdsa0"),
      queueDriver("mdev", "unbind", "wq0.0"),
      refused("ENODEV", createVdsa("vdsa2")),
      queueDriver("mdev", "bind", "wq0.0"),
      createVdsa("vdsa2"),
      queueDriver("mdev", "unbind", "wq0.2"),
      refused("ENODEV", createVdsa("vdsa3", "shared")),
    ],
  }),
  scenario({
    id: "idxd-pasids-used-up",
    title: "guests share a queue as long as there are PASIDs for them",
    steps: [
      ...crowd(8).map(createShared),
      gives(2, available("shared")),
      refused("ENOSPC", createVdsa("vdsa0", "shared")),
      refused("ENOSPC", createVdsa("vdsa0")),
      refused("ENOSPC", openQueue("wq0.3")),
    ],
  }),
  scenario({
    id: "idxd-queue-owners",
    title: "a queue belongs to the kernel, to programs or to guests, and changes hands while it is disabled",
    steps: [
      refused("EPERM", writeQueue("wq0.0", "type", "user")),
      refused("EPERM", writeQueue("wq0.0", "mode", "shared")),
      refused("ENXIO", writeQueue("wq0.2", "threshold", "4")),
      refused("ENXIO", writeQueue("wq0.1", "block_on_fault", "0")),
      refused("ENODEV", queueDriver("user", "unbind", "wq0.0")),
      queueDriver("mdev", "unbind", "wq0.0\n"),
      gives(9, readQueue("wq0.0", "state")),
      refused("EINVAL", writeQueue("wq0.0", "type", "guest")),
      refused("EINVAL", writeQueue("wq0.0", "mode", "either")),
      refused("EINVAL", writeQueue("wq0.0", "threshold", "17")),
      refused("EINVAL", writeQueue("wq0.0", "threshold", "4")),
      refused("EINVAL", writeQueue("wq0.0", "block_on_fault", "perhaps")),
      writeQueue("wq0.0", "type", "user\n"),
      writeQueue("wq0.0", "mode", "shared"),
      refused("ENODEV", queueDriver("mdev", "bind", "wq0.0")),
      refused("ENXIO", queueDriver("user", "bind", "wq0.0")),
      writeQueue("wq0.0", "threshold", "4"),
      writeQueue("wq0.0", "block_on_fault", "on"),
      queueDriver("user", "bind", "wq0.0"),
      refused("EBUSY", queueDriver("mdev", "bind", "wq0.0")),
      refused("ENODEV", queueDriver("mdev", "bind", "wq9.9")),
      refused("ENOENT", queueDriver("nonesuch", "bind", "wq0.0")),
      ...(["type", "mode", "threshold", "block_on_fault"] as const).map((file) => readQueue("wq0.0", file)),
      refused("EACCES", writeQueue("wq0.0", "state", "enabled")),
      refused("ENOENT", readQueue("wq9.9", "type")),
      openQueue("wq0.0"),
      openQueue("wq0.0", "@wq2"),
      openQueue("wq0.3", "@wq3"),
      refused("EBUSY", openQueue("wq0.3", "@wq4")),
      refused("ENOENT", openQueue("wq0.1", "@wq4")),
      { op: "mmap", fd: "@wq", length: 4096, prot: 3, offset: 0 },
      refused("EINVAL", { op: "mmap", fd: "@wq", length: 8192, prot: 3, offset: 0 }),
      close("@wq3"),
      openQueue("wq0.3", "@wq4"),
      queueDriver("dmaengine", "unbind", "wq0.4"),
      writeQueue("wq0.4", "mode", "dedicated"),
      refused("EINVAL", writeQueue("wq0.4", "threshold", "4")),
      gives(2, readQueue("wq0.4", "threshold")),
    ],
  }),
  scenario({
    id: "idxd-reassigned",
    title: "a queue that is taken from its guest takes the device with it, once nobody has that open",
    needs: LEGACY,
    steps: [
      ...guest(),
      ...start,
      close("@device"),
      unsetContainer("@group"),
      close("@group"),
      queueDriver("mdev", "unbind", "wq0.0"),
      refused("ENOENT", openGroup("vdsa0")),
      writeQueue("wq0.0", "type", "user"),
      queueDriver("user", "bind", "wq0.0"),
      openQueue("wq0.0"),
    ],
  }),
];
