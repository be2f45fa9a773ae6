/**
 * Work that a call leaves to a kernel thread: INTx that an eventfd unmasks while its function pulls it is signalled by one
 * (drivers/vfio/virqfd.c:virqfd_inject). What programs see must not hang on when it runs, so it is waited for.
 */
import type { Call } from "../../model/program.ts";
import { PCI_IRQ } from "../../model/vfio/device-info.ts";
import { IRQ_SET } from "../../model/vfio/irqs.ts";

/** How long it is waited for: far more than a thread takes to run that nothing stops. On an idle guest it costs nothing. */
export const WAIT_NS = 1_000_000;

const UNMASK_BY_EVENTFD = IRQ_SET.EVENTFD | IRQ_SET.UNMASK;

/** Calls of a program behind which work may be left. */
export function leavingWork(calls: readonly Call[]): ReadonlySet<Call> {
  const leaving = new Set<Call>();
  if (!calls.some(unmasksByEventfd)) return leaving;
  for (const call of calls) if (call.op === "write" || unmasksByEventfd(call)) leaving.add(call);
  return leaving;
}

function unmasksByEventfd(call: Call): boolean {
  if (call.op !== "ioctl" || call.request !== "VFIO_DEVICE_SET_IRQS" || call.arg.kind !== "struct") return false;
  const { flags, index = 0 } = call.arg.struct.fields;
  return flags === UNMASK_BY_EVENTFD && index === PCI_IRQ.INTX;
}
