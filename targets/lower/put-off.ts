/**
 * Work that a call leaves to others. INTx that an eventfd unmasks while its function pulls it is signalled by a kernel thread
 * (drivers/vfio/virqfd.c:virqfd_inject), edu copies memory by itself, and another task goes on once a call has let it. What programs
 * see must not hang on when that comes about, so it is waited for.
 */
import { handleKind } from "../../model/handles.ts";
import { PAGE } from "../../model/kernel/memory-map.ts";
import { LEFT_WORK } from "../../model/pci/hardware.ts";
import type { Call } from "../../model/program.ts";
import { PCI_IRQ } from "../../model/vfio/device-info.ts";
import { IRQ_SET } from "../../model/vfio/irqs.ts";

/** How long a thread is waited for: far more than it takes to run if nothing stops it. On an idle guest it costs nothing. */
const THREAD_NS = 1_000_000;

const UNMASK_BY_EVENTFD = IRQ_SET.EVENTFD | IRQ_SET.UNMASK;

/** The same for another task, which a call may let go on: it takes a function off its bus, or ends virtual ones, which takes a second. */
const TASK_NS = 200_000_000;
const VIRTUAL_NS = 1_500_000_000;

/** The same for a task that has just begun, and may wait itself for a device to be reset or a network interface to be gone. */
export const START_WAIT_NS = 2_000_000_000;

/** What is waited for where nobody knows which register a call reaches. */
const ALL_LEFT = Math.max(...LEFT_WORK.map(({ nanoseconds }) => nanoseconds));

/** Calls of a program behind which work may be left, and the nanoseconds that it is given. */
export function workLeft(calls: readonly Call[]): ReadonlyMap<Call, number> {
  const left = new Map<Call, number>();
  const leave = (call: Call, nanoseconds: number) => left.set(call, Math.max(left.get(call) ?? 0, nanoseconds));
  const byUnmask = calls.some(unmasksByEventfd);
  const byEventfd = Math.max(...calls.map(leftByEventfd));
  const task = calls.some(changesVirtual) ? VIRTUAL_NS : TASK_NS;
  let started = false;
  for (const call of calls) {
    if (started && call.op !== "start") leave(call, task);
    if (byUnmask && (call.op === "write" || unmasksByEventfd(call))) leave(call, THREAD_NS);
    const nanoseconds = Math.max(leftBy(call), call.op === "write" || leftByEventfd(call) > 0 ? byEventfd : 0);
    if (nanoseconds > 0) leave(call, nanoseconds);
    if (call.op === "start") started = true;
  }
  return left;
}

function changesVirtual(call: Call): boolean {
  return (call.op === "sysfs-write" || call.op === "start") && call.attribute.kind === "sriov";
}

function unmasksByEventfd(call: Call): boolean {
  if (call.op !== "ioctl" || call.request !== "VFIO_DEVICE_SET_IRQS" || call.arg.kind !== "struct") return false;
  const { flags, index = 0 } = call.arg.struct.fields;
  return flags === UNMASK_BY_EVENTFD && index === PCI_IRQ.INTX;
}

/** What a call may itself leave to a device: what a plain write reaches hangs on those before. */
function leftBy(call: Call): number {
  switch (call.op) {
    case "pwrite":
      return typeof call.offset === "string" ? ALL_LEFT : leftIn(Number(call.offset), call.count);
    case "write":
      return typeof call.fd !== "string" || handleKind(call.fd) !== "eventfd" ? ALL_LEFT : 0;
    case "store":
      return leftIn(call.offset % PAGE, call.width);
    default:
      return 0;
  }
}

/** What a call has an eventfd leave to a device. */
function leftByEventfd(call: Call): number {
  if (call.op !== "ioctl" || call.request !== "VFIO_DEVICE_IOEVENTFD" || call.arg.kind !== "struct") return 0;
  return leftIn(Number(call.arg.struct.fields["offset"] ?? 0), 1);
}

/** Nanoseconds for what accesses of BAR 0 leave to devices. */
function leftIn(at: number, count: number): number {
  let most = 0;
  for (const { from, to, nanoseconds } of LEFT_WORK)
    if (at < to && at + count > from) most = Math.max(most, nanoseconds);
  return most;
}
