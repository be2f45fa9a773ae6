/**
 * The end of a program. A kernel that is known not to clean up after a process must not be left to do so: what it would
 * stumble over is undone before, and a program whose end would still ruin it is cut.
 */
import { Unmodelled } from "../../model/kernel/operation.ts";
import { Machine, type MachineOptions } from "../../model/machine.ts";
import type { Call } from "../../model/program.ts";

/**
 * Calls that detach every PASID of a mock that a program has tried to attach: which of them were attached depends on where
 * the kernel runs out of memory, and one that is not is left as it is.
 */
export function detachesPasids(calls: readonly Call[]): Call[] {
  const undone = new Map<string, Call>();
  for (const call of calls) {
    if (call.op !== "ioctl" || call.request !== "IOMMU_TEST_OP_PASID_ATTACH" || call.arg.kind !== "struct") continue;
    const { id = 0, pasid = 0 } = call.arg.struct.fields;
    const fields = { size: 72, op: 20, id, pasid };
    undone.set(`${String(call.fd)} ${String(id)} ${String(pasid)}`, {
      op: "ioctl",
      fd: call.fd,
      request: "IOMMU_TEST_OP_PASID_DETACH",
      arg: { kind: "struct", struct: { fields } },
    });
  }
  return [...undone.values()];
}

/** How many of the calls can be made with an end after them that the model has an answer for. */
export function soundLength(calls: readonly Call[], options: MachineOptions): number {
  let length = calls.length;
  while (length > 0 && !endsWell(calls, length, options)) length--;
  return length;
}

function endsWell(calls: readonly Call[], length: number, options: MachineOptions): boolean {
  const machine = new Machine(options);
  try {
    for (let at = 0; at < length; at++) {
      const call = calls[at];
      if (call) machine.step(call);
    }
    machine.exit();
    return true;
  } catch (thrown) {
    if (thrown instanceof Unmodelled) return false;
    throw thrown;
  }
}
