/**
 * Work that a call leaves to others. INTx that an eventfd unmasks while its function pulls it is signalled by a kernel thread
 * (drivers/vfio/virqfd.c:virqfd_inject), edu copies memory by itself, and another task goes on once a call has let it. What programs
 * see must not hang on when that comes about, so it is waited for.
 */
import { handleKind } from "../../model/handles.ts";
import { PAGE } from "../../model/kernel/memory-map.ts";
import { Edu } from "../../model/pci/edu.ts";
import type { Call } from "../../model/program.ts";
import { PCI_IRQ } from "../../model/vfio/device-info.ts";
import { IRQ_SET } from "../../model/vfio/irqs.ts";

/** How long a thread is waited for: far more than it takes to run if nothing stops it. On an idle guest it costs nothing. */
const THREAD_NS = 1_000_000;

const UNMASK_BY_EVENTFD = IRQ_SET.EVENTFD | IRQ_SET.UNMASK;

/** The same for another task, which a call may let go on: it takes a function off its bus. */
const TASK_NS = 200_000_000;

/** The same for a task that has just begun, and may wait itself for a device to be reset or a network interface to be gone. */
export const START_WAIT_NS = 2_000_000_000;

const COMMAND = { FROM: Edu.REGISTER.DMA_COMMAND, TO: Edu.REGISTER.DMA_COMMAND + 8 } as const;

/** Calls of a program behind which work may be left, and the nanoseconds that it is given. */
export function workLeft(calls: readonly Call[]): ReadonlyMap<Call, number> {
  const left = new Map<Call, number>();
  const leave = (call: Call, nanoseconds: number) => left.set(call, Math.max(left.get(call) ?? 0, nanoseconds));
  const byUnmask = calls.some(unmasksByEventfd);
  const byEventfd = calls.some(commandsByEventfd);
  let started = false;
  for (const call of calls) {
    if (started && call.op !== "start") leave(call, TASK_NS);
    if (byUnmask && (call.op === "write" || unmasksByEventfd(call))) leave(call, THREAD_NS);
    if (mayCommand(call) || (byEventfd && (call.op === "write" || commandsByEventfd(call)))) leave(call, Edu.COPY_NS);
    if (call.op === "start") started = true;
  }
  return left;
}

function unmasksByEventfd(call: Call): boolean {
  if (call.op !== "ioctl" || call.request !== "VFIO_DEVICE_SET_IRQS" || call.arg.kind !== "struct") return false;
  const { flags, index = 0 } = call.arg.struct.fields;
  return flags === UNMASK_BY_EVENTFD && index === PCI_IRQ.INTX;
}

/** Whether a call may itself write to where edu has its command: what a plain write reaches hangs on those before. */
function mayCommand(call: Call): boolean {
  switch (call.op) {
    case "pwrite": {
      if (typeof call.offset === "string") return true;
      const from = Number(call.offset);
      return from < COMMAND.TO && from + call.count > COMMAND.FROM;
    }
    case "write":
      return typeof call.fd !== "string" || handleKind(call.fd) !== "eventfd";
    case "store":
      return call.offset % PAGE >= COMMAND.FROM && call.offset % PAGE < COMMAND.TO;
    default:
      return false;
  }
}

/** Whether a call has an eventfd write there. */
function commandsByEventfd(call: Call): boolean {
  if (call.op !== "ioctl" || call.request !== "VFIO_DEVICE_IOEVENTFD" || call.arg.kind !== "struct") return false;
  return Number(call.arg.struct.fields["offset"] ?? 0) === COMMAND.FROM;
}
