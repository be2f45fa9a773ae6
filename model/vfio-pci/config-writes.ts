/** What writing some capabilities does beyond storing bits. Beside drivers/vfio/pci/vfio_pci_config.c. */
import { clauses } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Lock } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import { locksOf } from "../pci/locks.ts";
import { PCI_IRQ } from "../vfio/device-info.ts";
import type { Chunk } from "./config.ts";
import type { Region } from "./config-layout.ts";
import { AF, COMMAND, EXPRESS, MSI, MSIX, PM } from "./config-perms.ts";
import { type ConfigSpace, D0, D3_HOT, noteReset, word } from "./config-space.ts";
import { rule as sriovRule } from "./sriov.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_config.c:${name}`;

export const rule = clauses({
  "VFIO-PCI-CONFIG-15": {
    rule: "the power state that is written is taken, if the function has it and it is no shallower than the one that it is in",
    source: source("vfio_pm_config_write"),
    observable: "later-call",
  },
  "VFIO-PCI-CONFIG-16": {
    rule: "in D3hot a function keeps answering; back in D0 its registers are what they were before, also where that resets it",
    source: "drivers/vfio/pci/vfio_pci_core.c:vfio_pci_set_power_state",
    observable: "later-call",
  },
  "VFIO-PCI-CONFIG-17": {
    rule: "a power state that the function has not, or that it can't get to from where it is, is not taken",
    source: "drivers/pci/pci.c:pci_set_low_power_state",
    observable: "later-call",
  },
  "VFIO-PCI-CONFIG-18": {
    rule: "MSI is not enabled by writing that it is, and uses no more vectors than VFIO_DEVICE_SET_IRQS has asked for; what it is capable of can't be written",
    source: source("vfio_msi_config_write"),
    observable: "later-call",
  },
  "VFIO-PCI-CONFIG-19": {
    rule: "a function level reset that is asked for in PCI Express's device control is done, and reads as zero",
    source: source("vfio_exp_config_write"),
    observable: "later-call",
  },
  "VFIO-PCI-CONFIG-21": {
    rule: "INTx is masked, and not signalled, as long as the user's copy of the command register disables interrupts",
    source: source("vfio_basic_config_write"),
    observable: "later-call",
  },
  "VFIO-PCI-CONFIG-22": {
    rule: "MSI-X says that it is enabled while VFIO_DEVICE_SET_IRQS has it in use, and nothing of it can be written",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_SET_IRQS",
    observable: "output",
  },
  "VFIO-PCI-CONFIG-23": {
    rule: "MSI and MSI-X are put to use in full power only",
    errno: "EINVAL",
    source: "drivers/pci/msi/msi.c:__pci_enable_msix_range",
  },
  "VFIO-PCI-CONFIG-20": {
    rule: "the same of advanced features",
    source: source("vfio_af_config_write"),
    observable: "later-call",
    unseen: "no function of the suite's machines has that capability",
  },
});

/** Bits of the word of capabilities that say whether a function has D1, D2. */
const HAS_STATE = [0, 0x200, 0x400] as const;

export const steps = {
  /** The tail of vfio_basic_config_write: INTx is masked as long as the user's copy disables it. */
  disableIntxBit(k: Kernel, { irqs, virtual }: ConfigSpace): void {
    const disabled = (word(virtual, COMMAND.AT) & COMMAND.INTX_DISABLE) !== 0;
    if (disabled === irqs.intxDisabled) return;
    irqs.intxDisabled = disabled;
    if (!disabled) k.intrs.unmask(k, irqs);
    else if (irqs.intx) irqs.intx.masked = true;
    k.keeps(rule["VFIO-PCI-CONFIG-21"]);
  },

  /** The upper byte of MSI-X's message control: enabled while VFIO_DEVICE_SET_IRQS has it in use. */
  msixControl(k: Kernel, space: ConfigSpace, at: number): number {
    k.keeps(rule["VFIO-PCI-CONFIG-22"]);
    const enabled = space.irqs.vectors?.index === PCI_IRQ.MSIX;
    return (space.read(at) & ~MSIX.ENABLE) | (enabled ? MSIX.ENABLE : 0);
  },

  /** Whether a function has its power, as it must to be given vectors. */
  isAwake({ config }: PciFunction): boolean {
    return config === null || config.powerState === D0;
  },

  /** vdev->memory_lock, for writing */
  memoryLock(k: Kernel, pciFunction: PciFunction): Operation<Lock> {
    return k.lock(locksOf(pciFunction).memory);
  },

  /** vfio_lock_and_set_power_state */
  *setPower(k: Kernel, pciFunction: PciFunction, space: ConfigSpace, state: number): Operation<void> {
    using _ = yield* k.vfioPci.memoryLock(k, pciFunction);
    yield* k.vfioPci.changePower(k, pciFunction, space, state);
    k.vfioPci.returnBuffers(k, pciFunction);
  },

  /** vfio_pci_set_power_state. What is in D3hot lends nothing. */
  *changePower(k: Kernel, pciFunction: PciFunction, space: ConfigSpace, state: number): Operation<void> {
    const before = space.powerState;
    const known =
      state === D0 ||
      state === D3_HOT ||
      (word(space.physical, space.powerAt + PM.CAPABILITIES) & (HAS_STATE[state] ?? 0)) !== 0;
    if (state === before) return;
    if (state !== D0 && pciFunction.vfs.length > 0) {
      k.keeps(sriovRule["VFIO-PCI-SRIOV-4"]);
      return;
    }
    if (!known || (state !== D0 && state < before)) {
      k.keeps(rule["VFIO-PCI-CONFIG-17"]);
      return;
    }
    k.keeps(rule["VFIO-PCI-CONFIG-15"]);
    if (state === D3_HOT) yield* k.vfioPci.takeBuffersBack(k, pciFunction);
    if (state === D0) k.vfioPci.powerUp(k, pciFunction, space);
    else k.vfioPci.powerDown(space, state);
  },

  /** pci_try_reset_function, by who holds the memory's lock: whoever was lent any of it has it no more. */
  *resetFunction(k: Kernel, pciFunction: PciFunction): Operation<void> {
    yield* k.vfioPci.takeBuffersBack(k, pciFunction);
    k.vfioPci.resetRegisters(k, pciFunction);
    yield* k.vfioPci.resetDone(k, pciFunction);
    k.vfioPci.returnBuffers(k, pciFunction);
  },

  /** Into D1, D2 or D3hot: from the last a function may come back with its registers reset. */
  powerDown(space: ConfigSpace, state: number): void {
    if (state === D3_HOT && space.resetByD3) space.saved = space.physical.slice();
    space.setPowerState(state);
  },

  /** Back into D0, with the registers that were saved. */
  powerUp(k: Kernel, pciFunction: PciFunction, space: ConfigSpace): void {
    if (space.powerState === D0) return;
    if (space.powerState === D3_HOT) k.keeps(rule["VFIO-PCI-CONFIG-16"]);
    if (space.saved) {
      space.restore(space.saved);
      space.saved = null;
      noteReset(pciFunction);
    }
    space.setPowerState(D0);
  },

  /** The tail of vfio_msi_config_write: nothing is enabled unless MSI is in use, nor more vectors than were asked for. */
  fixMsi(k: Kernel, space: ConfigSpace, region: Region, { at, width }: Chunk): void {
    const control = region.start + MSI.CONTROL;
    if (at > control || at + width <= control) return;
    const { vectors } = space.irqs;
    const own = vectors?.index === PCI_IRQ.MSI ? vectors.enabled : 0;
    const most = Math.ceil(Math.log2(Math.max(1, own)));
    const written = space.virtual[control] ?? 0;
    const inUse = Math.min((written & MSI.IN_USE) >> 4, most) << 4;
    const enabled = own > 0 ? written & MSI.ENABLE : 0;
    space.setVirtual(control, (written & ~(MSI.ENABLE | MSI.IN_USE)) | enabled | inUse);
    if (own > 0) space.irqs.signalBy(enabled === 0 ? "line" : "msi");
    k.keeps(rule["VFIO-PCI-CONFIG-18"]);
  },

  /** vfio_exp_config_write */
  *expressWritten(k: Kernel, pciFunction: PciFunction, space: ConfigSpace, region: Region): Operation<void> {
    const control = region.start + EXPRESS.CONTROL + 1;
    const asked = space.virtual[control] ?? 0;
    if ((asked & (EXPRESS.FLR >> 8)) === 0) return;
    space.setVirtual(control, asked & ~(EXPRESS.FLR >> 8));
    const can = ((space.physical[region.start + EXPRESS.CAPABILITIES + 3] ?? 0) << 24) & EXPRESS.HAS_FLR;
    if (can === 0) return;
    using _ = yield* k.vfioPci.memoryLock(k, pciFunction);
    yield* k.vfioPci.resetFunction(k, pciFunction);
    k.keeps(rule["VFIO-PCI-CONFIG-19"]);
  },

  /** vfio_af_config_write */
  *afWritten(k: Kernel, pciFunction: PciFunction, space: ConfigSpace, region: Region): Operation<void> {
    const control = region.start + AF.CONTROL;
    const asked = space.virtual[control] ?? 0;
    if ((asked & AF.FLR) === 0) return;
    space.setVirtual(control, asked & ~AF.FLR);
    if (((space.physical[region.start + AF.CAPABILITIES] ?? 0) & AF.HAS_FLR) !== AF.HAS_FLR) return;
    using _ = yield* k.vfioPci.memoryLock(k, pciFunction);
    yield* k.vfioPci.resetFunction(k, pciFunction);
    k.keeps(rule["VFIO-PCI-CONFIG-20"]);
  },
};
