/**
 * Work that a call leaves to a kernel thread: INTx that an eventfd unmasks while its function pulls it is signalled by one
 * (drivers/vfio/virqfd.c:virqfd_inject). The same with what another task does once a call has let it go on. What programs see must not
 * hang on when that runs, so it is waited for.
 */
import type { Call } from "../../model/program.ts";
import { PCI_IRQ } from "../../model/vfio/device-info.ts";
import { IRQ_SET } from "../../model/vfio/irqs.ts";

/** How long it is waited for: far more than a thread takes to run that nothing stops. On an idle guest it costs nothing. */
export const WAIT_NS = 1_000_000;

const UNMASK_BY_EVENTFD = IRQ_SET.EVENTFD | IRQ_SET.UNMASK;

/** The same for another task, which a call may let go on: it takes a function off its bus. */
export const TASK_WAIT_NS = 200_000_000;

/** The same for a task that has just begun, and may wait itself for a device to be reset or a network interface to be gone. */
export const START_WAIT_NS = 2_000_000_000;

/** Calls of a program behind which work may be left, and how long it is waited for, in nanoseconds. */
export function leavingWork(calls: readonly Call[]): ReadonlyMap<Call, number> {
  const leaving = new Map<Call, number>();
  const unmasks = calls.some(unmasksByEventfd);
  let starts = false;
  for (const call of calls) {
    if (starts && call.op !== "start") leaving.set(call, TASK_WAIT_NS);
    else if (unmasks && (call.op === "write" || unmasksByEventfd(call))) leaving.set(call, WAIT_NS);
    if (call.op === "start") starts = true;
  }
  return leaving;
}

function unmasksByEventfd(call: Call): boolean {
  if (call.op !== "ioctl" || call.request !== "VFIO_DEVICE_SET_IRQS" || call.arg.kind !== "struct") return false;
  const { flags, index = 0 } = call.arg.struct.fields;
  return flags === UNMASK_BY_EVENTFD && index === PCI_IRQ.INTX;
}
