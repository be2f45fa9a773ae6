/** Descriptors of programs of the host, which a queue carries out in their own memory, and who answers where it is not there. */
import { MEMORY, PAGE } from "../model/kernel/memory-map.ts";
import { FLAG } from "../model/mdev/idxd/descriptor.ts";
import { encode } from "../model/mdev/idxd/encode.ts";
import { OPERATION } from "../model/mdev/idxd/mmio.ts";
import type { Call } from "../model/program.ts";
import { close, write } from "./calls.ts";
import { look, put } from "./dma-calls.ts";
import { openQueue, queueDriver, RECORDED, writeQueue } from "./idxd-calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const { MEMMOVE, MEMFILL, NOOP } = OPERATION;
const NEEDS = { since: "6.10" } as const;
const BLOCKING = RECORDED | FLAG.BLOCK_ON_FAULT;

const user = (page: number, offset = 0): bigint => MEMORY.user + BigInt(page * PAGE + offset);
/** Where completion records lie, and what is moved. */
const [RECORD, SOURCE] = [1, 0];
const record = user(RECORD);

const submit = (...descriptors: readonly Parameters<typeof encode>[0][]): Call =>
  write(
    "@wq",
    descriptors.flatMap((descriptor) => encode(descriptor)),
  );
/** What a completion record says: how it ended and how much was done, and where it could not go on. */
const ending: readonly Call[] = [look(RECORD * PAGE), look(RECORD * PAGE + 8)];
const touched: readonly Call[] = [put(SOURCE * PAGE, 0x1122_3344), put(RECORD * PAGE, 0)];

export const IDXD_PROCESSES: readonly Scenario[] = [
  scenario({
    id: "idxd-process-faults",
    title:
      "a descriptor that does not block ends at a page that its process has not touched, one whose queue lets none block is refused",
    needs: NEEDS,
    steps: [
      openQueue("wq0.3"),
      ...touched,
      gives(
        64,
        submit({ operation: MEMMOVE, flags: RECORDED, record, source: user(SOURCE), destination: user(2), size: 8 }),
      ),
      ...ending,
      look(2 * PAGE),
      // Reading brought the page that is nobody's, which is not one to be written.
      gives(
        64,
        submit({ operation: MEMMOVE, flags: RECORDED, record, source: user(2), destination: user(SOURCE, 8), size: 8 }),
      ),
      ...ending,
      gives(
        64,
        submit({ operation: MEMMOVE, flags: RECORDED, record, source: user(SOURCE), destination: user(2), size: 8 }),
      ),
      ...ending,
      put(2 * PAGE, 0),
      gives(
        64,
        submit({ operation: MEMMOVE, flags: RECORDED, record, source: user(SOURCE), destination: user(2), size: 8 }),
      ),
      ...ending,
      look(2 * PAGE),
      gives(
        64,
        submit({ operation: MEMFILL, flags: RECORDED, record, source: 7n, destination: user(2, PAGE - 8), size: 16 }),
      ),
      ...ending,
      look(3 * PAGE - 8),
      gives(64, submit({ operation: MEMFILL, flags: BLOCKING, record, destination: user(2), size: 8 })),
      ...ending,
      gives(64, submit({ operation: MEMFILL, flags: RECORDED, record, destination: user(2), size: 0 })),
      ...ending,
      gives(64, submit({ operation: 0x20, flags: RECORDED, record })),
      ...ending,
      // Nothing is done without a record where one was asked for.
      gives(
        64,
        submit({ operation: MEMFILL, flags: RECORDED, record: user(9), source: 1n, destination: user(2), size: 8 }),
      ),
      look(2 * PAGE),
      close("@wq"),
    ],
  }),
  scenario({
    id: "idxd-process-page-requests",
    title:
      "a descriptor that blocks asks for the pages that are not there; the kernel brings them, or answers that there are none",
    needs: NEEDS,
    steps: [
      queueDriver("user", "unbind", "wq0.3"),
      writeQueue("wq0.3", "block_on_fault", "1"),
      queueDriver("user", "bind", "wq0.3"),
      openQueue("wq0.3"),
      ...touched,
      gives(
        64,
        submit({ operation: MEMFILL, flags: BLOCKING, record, source: 7n, destination: user(4, PAGE - 8), size: 16 }),
      ),
      ...ending,
      look(5 * PAGE - 8),
      look(5 * PAGE),
      gives(
        64,
        submit({ operation: MEMMOVE, flags: BLOCKING, record, source: user(6), destination: user(7), size: 8 }),
      ),
      ...ending,
      ...[MEMORY.userReadonly, MEMORY.hole, user(0, MEMORY.userSize - 8)].flatMap((destination) => [
        gives(64, submit({ operation: MEMFILL, flags: BLOCKING, record, source: 9n, destination, size: 16 })),
        ...ending,
      ]),
      gives(
        64,
        submit({ operation: MEMMOVE, flags: BLOCKING, record, source: MEMORY.hole, destination: user(7), size: 8 }),
      ),
      ...ending,
      gives(64, submit({ operation: NOOP, flags: BLOCKING, record: user(8) })),
      look(8 * PAGE),
    ],
  }),
  scenario({
    id: "idxd-process-submits",
    title: "descriptors are taken one after the other up to the first that is refused, batches not at all",
    needs: NEEDS,
    steps: [
      openQueue("wq0.3"),
      ...touched,
      gives(0, write("@wq", [1, 2, 3])),
      gives(128, submit({ operation: NOOP, flags: RECORDED, record }, { operation: NOOP })),
      ...ending,
      refused("EINVAL", submit({ operation: 1 })),
      refused("EINVAL", submit({ record: record + 8n })),
      gives(64, submit({ operation: NOOP }, { operation: 1 }, { operation: NOOP })),
      refused("EFAULT", { op: "write", fd: "@wq", count: 64, place: "unmapped" }),
      refused("EFAULT", { op: "write", fd: "@wq", count: 64, place: 63 }),
      gives(64, { op: "write", fd: "@wq", count: 128, place: 100 }),
    ],
  }),
  scenario({
    id: "idxd-process-submits-before-6.10",
    title: "before 6.10 descriptors go through the portal only",
    needs: { until: "6.9" },
    steps: [openQueue("wq0.3"), refused("EINVAL", submit({ operation: NOOP }))],
  }),
];
