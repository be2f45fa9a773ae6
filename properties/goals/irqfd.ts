/** Goals about interrupts of VMs, and what of them devices share. */
import { IRQFD_FLAG, rule as irqfdRule } from "../../model/kvm/irqfd.ts";
import { rule as bypassRule } from "../../model/virt/irqbypass.ts";
import type { Goal } from "../coverage.ts";
import { clauseSeen, ioctlEnded } from "./ended.ts";
import { KVM } from "./needs.ts";

const IOAPIC = { kconfig: ["KVM", "KVM_IOAPIC"] } as const;

/** An irqfd that was set or removed with these flags. */
function irqfdDone(id: string, title: string, flags: number, needs: Goal["needs"] = KVM): Goal {
  return {
    id,
    title,
    needs,
    reached(call, { ret }) {
      if (call.op !== "ioctl" || call.request !== "KVM_IRQFD" || call.arg.kind !== "struct" || ret !== 0) return false;
      return (call.arg.struct.fields["flags"] ?? 0) === flags;
    },
  };
}

export const IRQFD_GOALS: readonly Goal[] = [
  irqfdDone("irqfd", "an eventfd was made to interrupt a VM", 0),
  irqfdDone("irqfd-removed", "an eventfd was to interrupt a VM no more", IRQFD_FLAG.DEASSIGN),
  irqfdDone("irqfd-resampled", "an eventfd was made to interrupt a VM by level", IRQFD_FLAG.RESAMPLE, IOAPIC),
  ioctlEnded("irqfd-busy", "an eventfd that interrupts a VM was refused", "KVM_IRQFD", "EBUSY", KVM),
  ioctlEnded("irqfd-routed", "interrupts of a VM were routed", "KVM_SET_GSI_ROUTING", 0, KVM),
  ioctlEnded("irq-line-status", "what became of a VM's interrupt was told", "KVM_IRQ_LINE_STATUS", 0, KVM),
  clauseSeen("irqfd-taken", "a VM took what was counted", irqfdRule["KVM-IRQFD-11"], KVM),
  clauseSeen("irqfd-vm-closed", "a VM with irqfds was closed", irqfdRule["KVM-IRQFD-21"], KVM),
  clauseSeen("irqfd-eventfd-closed", "an eventfd with an irqfd was closed", irqfdRule["KVM-IRQFD-22"], KVM),
  clauseSeen("bypass-connected", "interrupts of a device and a VM were connected", bypassRule["IRQBYPASS-1"], KVM),
  clauseSeen("bypass-parted", "interrupts of a device and a VM were parted", bypassRule["IRQBYPASS-2"], KVM),
  clauseSeen("bypass-second", "two interrupts of devices had one eventfd", bypassRule["IRQBYPASS-3"], KVM),
];
