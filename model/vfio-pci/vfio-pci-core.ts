/**
 * The library that drivers of PCI functions are built on: what a function is to user space. Beside
 * drivers/vfio/pci/vfio_pci_core.c. What a driver may have of its own is in core-device.ts.
 */

import { clauses, must, refuse } from "../kernel/clause.ts";
import type { Argument, Ioctl } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import type { PciFunction } from "../pci/function.ts";
import { locksOf, tryLock } from "../pci/locks.ts";
import { type DeviceFile, DeviceSet } from "../vfio/device.ts";
import {
  answerInfo,
  answerRegionInfo,
  type Capability,
  DEVICE_FLAGS,
  type DeviceDescription,
  rule as deviceRule,
  getInfo,
  getRegionInfo,
  PCI_IRQ_COUNT,
  PCI_REGION,
  REGION_FLAGS,
  REGION_SIZE,
  type RegionDescription,
  resetDevice,
} from "../vfio/device-info.ts";
import { getIrqInfo, setIrqs } from "../vfio/irqs.ts";
import type { VfioPciCoreDevice } from "./core-device.ts";
import { VfioPciDevice } from "./drivers/vfio-pci.ts";
import { pciHotReset } from "./hot-reset.ts";
import { getPciHotResetInfo } from "./hot-reset-info.ts";
import { ioeventfd } from "./ioeventfd.ts";
import { steps as lowPower } from "./low-power.ts";
import { steps as regions } from "./regions.ts";
import { steps as sriov, rule as sriovRule } from "./sriov.ts";
import { steps as token, VfToken } from "./vf-token.ts";
import { VGA_SIZE } from "./vga.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_core.c:${name}`;

export const rule = clauses({
  "VFIO-PCI-BIND-2": {
    rule: "functions that one bus or slot reset hits share a device set; one on a root bus is alone",
    source: source("vfio_pci_core_register_device"),
    observable: "internal",
  },
  "VFIO-PCI-OPEN-1": {
    rule: "a function that is reset when it is opened can't be opened while its driver lets it go",
    errno: "EAGAIN",
    source: source("vfio_pci_core_enable"),
    since: "6.6",
  },
  "VFIO-PCI-INFO-1": {
    rule: "the flag RESET tells whether the function can be reset on its own",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_FLAGS_RESET",
    observable: "output",
  },
  "VFIO-PCI-REGION-1": {
    rule: "a BAR, ROM or VGA range that the function does not have is a region of size 0",
    source: "include/uapi/linux/vfio.h:VFIO_PCI_NUM_REGIONS",
    observable: "output",
  },
  "VFIO-PCI-REGION-4": {
    rule: "the VGA region is read and written, up to the end of the memory that VGA adapters have",
    source: "include/uapi/linux/vfio.h:VFIO_PCI_VGA_REGION_INDEX",
    observable: "output",
    kconfig: ["VFIO_PCI_VGA"],
    machine: "sriov",
  },
  "VFIO-PCI-REGION-2": {
    rule: "a BAR can be read and written, and mapped where it has whole pages of its own",
    source: source("vfio_pci_probe_mmaps"),
    observable: "output",
  },
  "VFIO-PCI-REGION-3": {
    rule: "a BAR that can be mapped and holds the MSI-X table says so by a capability",
    source: "include/uapi/linux/vfio.h:VFIO_REGION_INFO_CAP_MSIX_MAPPABLE",
    observable: "output",
  },
  "VFIO-PCI-RESET-1": {
    rule: "a function that can't be reset on its own refuses to be",
    errno: "EINVAL",
    source: source("vfio_pci_ioctl_reset"),
  },
  "VFIO-PCI-RESET-2": {
    rule: "a function is not reset while it is being bound, unbound or reset otherwise",
    errno: "EAGAIN",
    source: "drivers/pci/pci.c:pci_try_reset_function",
  },
  "VFIO-PCI-RESET-3": {
    rule: "the function is reset, and stays open and configured",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_RESET",
  },
});

const CAP_MSIX_MAPPABLE: Capability = { id: 3, version: 1, words: [] };
const CAP_TYPE = 2;
const CAP_PCI_ATOMIC_COMP = 5;

/** Where a region begins in the device's file. */
const regionOffset = (index: number): number => index * REGION_SIZE;

/** A region that the function does not have. */
const absent = (index: number): RegionDescription => ({
  flags: 0,
  size: 0,
  offset: regionOffset(index),
  capabilities: [],
});

export const steps = {
  ...token,
  ...regions,
  ...lowPower,
  ...sriov,

  /** vfio_pci_probe */
  probe(k: Kernel, pciFunction: PciFunction): void {
    k.alloc();
    k.vfioPci.register(k, new VfioPciDevice(pciFunction));
  },

  /** vfio_pci_core_register_device */
  register(k: Kernel, device: VfioPciCoreDevice): void {
    const pciFunction = device.function;
    const devSet = k.vfioPci.deviceSet(k, pciFunction);
    const backing = { kind: "pci", function: pciFunction } as const;
    pciFunction.vfio = k.vfio.register(k, pciFunction.spec.address, device, backing, devSet);
    pciFunction.core = device;
    pciFunction.vfToken = pciFunction.spec.totalVfs > 0 ? new VfToken() : null;
    k.keeps(rule["VFIO-PCI-BIND-2"]);
  },

  /** vfio_assign_device_set */
  deviceSet(k: Kernel, { spec }: PciFunction): DeviceSet {
    if (spec.resetScope !== null && spec.physicalFunction === null) {
      for (const other of k.functions) {
        if (other.spec.physicalFunction !== null) continue;
        if (other.vfio && other.spec.resetScope === spec.resetScope) return other.vfio.devSet;
      }
    }
    return new DeviceSet();
  },

  /** vfio_pci_remove: waits until nobody has the device open. */
  *remove(k: Kernel, pciFunction: PciFunction): Operation<void> {
    const { vfio, vfs } = pciFunction;
    if (!vfio) return;
    k.vfio.mayWaitFor(k, vfio);
    k.vfioPci.getUp(k, pciFunction);
    if (vfs.length > 0) {
      yield* k.vfioPci.dropVfs(k, pciFunction);
      k.keeps(sriovRule["VFIO-PCI-SRIOV-6"]);
    }
    yield* k.vfio.unregister(k, vfio);
    pciFunction.vfio = null;
    pciFunction.vfToken = null;
    pciFunction.core = null;
  },

  /** vfio_pci_core_enable: the function gets what its configuration space and interrupts take. */
  *enable(k: Kernel, pciFunction: PciFunction): Operation<void> {
    k.alloc();
    if (k.vfioPci.resetWorks(pciFunction)) {
      using device = tryLock(k, locksOf(pciFunction).device);
      must(device !== null, rule["VFIO-PCI-OPEN-1"]);
    }
    k.vfioPci.losesVfs(pciFunction);
  },

  /** vfio_pci_core_finish_enable: a virtual function is in use from now on. */
  finishEnable(_k: Kernel, { physical }: PciFunction): void {
    if (physical?.vfToken) physical.vfToken.users++;
  },

  /** vfio_pci_core_close_device */
  *closeDevice(k: Kernel, pciFunction: PciFunction): Operation<void> {
    if (pciFunction.physical?.vfToken) pciFunction.physical.vfToken.users--;
    yield* k.vfioPci.closeBuffers(k, pciFunction);
    k.vfioPci.endLowPower(k, pciFunction);
    yield* k.intrs.closeIrqs(k, pciFunction);
    k.vfioPci.closeIoeventfds(k, pciFunction);
    pciFunction.regions.length = 0;
    k.vfioPci.closeConfig(k, pciFunction);
  },

  /** vfio_pci_core_ioctl */
  *ioctl(k: Kernel, core: VfioPciCoreDevice, file: DeviceFile, command: Ioctl, arg: Argument): Operation<number> {
    const pciFunction = core.function;
    switch (command.request) {
      case getInfo.request:
        k.vfioPci.getInfo(k, pciFunction, arg.block);
        return 0;
      case getRegionInfo.request:
        answerRegionInfo(k, arg.block, (index) => core.region(k, index));
        return 0;
      case getIrqInfo.request:
        k.intrs.getIrqInfo(k, pciFunction, arg.block);
        return 0;
      case setIrqs.request:
        yield* k.intrs.setIrqs(k, pciFunction, arg.block);
        return 0;
      case resetDevice.request:
        yield* k.vfioPci.reset(k, pciFunction);
        return 0;
      case getPciHotResetInfo.request:
        return yield* getPciHotResetInfo.run(k, file, arg);
      case ioeventfd.request:
        k.vfioPci.ioeventfd(k, pciFunction, arg.block);
        return 0;
      case pciHotReset.request:
        return yield* pciHotReset.run(k, file, arg);
    }
    return refuse(vfsRule["VFS-IOCTL-1"]);
  },

  /** vfio_pci_ioctl_get_info. Since 6.6 as much of the struct is written as the caller has; before, a field or none. */
  getInfo(k: Kernel, pciFunction: PciFunction, block: UserBlock): void {
    answerInfo(
      k,
      block,
      k.vfioPci.describe(k, pciFunction),
      k.since("6.6")
        ? { struct: 24, written: (argsz) => Math.min(argsz, 24) }
        : { struct: 20, written: (argsz) => (argsz >= 20 ? 20 : 16) },
    );
    k.keeps(rule["VFIO-PCI-INFO-1"]);
  },

  describe(k: Kernel, pciFunction: PciFunction): DeviceDescription {
    const { atomics } = pciFunction.spec;
    return {
      flags: DEVICE_FLAGS.PCI | (k.vfioPci.resetWorks(pciFunction) ? DEVICE_FLAGS.RESET : 0),
      regions: PCI_REGION.COUNT + pciFunction.regions.length,
      irqs: PCI_IRQ_COUNT,
      capabilities: [
        ...k.zdev.capabilities(k, pciFunction),
        ...(atomics && k.since("6.5") ? [{ id: CAP_PCI_ATOMIC_COMP, version: 1, words: [atomics, 0] }] : []),
      ],
    };
  },

  /** Whether the reset at the first open of the device worked. */
  resetWorks({ spec }: PciFunction): boolean {
    return spec.resettable;
  },

  /** vfio_pci_ioctl_get_region_info */
  region(k: Kernel, pciFunction: PciFunction, index: number): RegionDescription {
    switch (index) {
      case PCI_REGION.CONFIG:
        return { ...absent(index), flags: REGION_FLAGS.READ | REGION_FLAGS.WRITE, size: pciFunction.spec.configSize };
      case PCI_REGION.ROM:
        return k.vfioPci.romRegion(k, pciFunction);
      case PCI_REGION.VGA:
        return k.vfioPci.vgaRegion(k, pciFunction);
    }
    return index < PCI_REGION.ROM
      ? k.vfioPci.barRegion(k, pciFunction, index)
      : k.vfioPci.deviceRegion(k, pciFunction, index);
  },

  barRegion(k: Kernel, { spec }: PciFunction, index: number): RegionDescription {
    const bar = spec.bars[index];
    if (!bar) {
      k.keeps(rule["VFIO-PCI-REGION-1"]);
      return absent(index);
    }
    k.keeps(rule["VFIO-PCI-REGION-2"]);
    const hasTable = bar.mappable && index === spec.msixBar;
    if (hasTable) k.keeps(rule["VFIO-PCI-REGION-3"]);
    return {
      flags: REGION_FLAGS.READ | REGION_FLAGS.WRITE | (bar.mappable ? REGION_FLAGS.MMAP : 0),
      size: bar.size,
      offset: regionOffset(index),
      capabilities: hasTable ? [CAP_MSIX_MAPPABLE] : [],
    };
  },

  /** The ROM counts as there when it holds an image; the size is that of its BAR. */
  romRegion(k: Kernel, { spec }: PciFunction): RegionDescription {
    const rom = spec.bars[PCI_REGION.ROM];
    if (rom && spec.romImage) return { ...absent(PCI_REGION.ROM), flags: REGION_FLAGS.READ, size: rom.size };
    k.keeps(rule["VFIO-PCI-REGION-1"]);
    return absent(PCI_REGION.ROM);
  },

  /** Kernels refuse the index of a function without VGA ranges; the header promises a region of size 0. */
  vgaRegion(k: Kernel, { spec }: PciFunction): RegionDescription {
    if (spec.vga && k.has("VFIO_PCI_VGA")) {
      k.keeps(rule["VFIO-PCI-REGION-4"]);
      return { ...absent(PCI_REGION.VGA), flags: REGION_FLAGS.READ | REGION_FLAGS.WRITE, size: VGA_SIZE };
    }
    k.keeps(rule["VFIO-PCI-REGION-1"]);
    return absent(PCI_REGION.VGA);
  },

  /** A region that the driver has registered: vfio_pci_core_register_dev_region. */
  deviceRegion(_k: Kernel, { regions }: PciFunction, index: number): RegionDescription {
    const region = regions[index - PCI_REGION.COUNT];
    must(region !== undefined, deviceRule["VFIO-DEV-REGION-3"]);
    const { size, flags, type, subtype, capabilities } = region;
    const ofType: Capability = { id: CAP_TYPE, version: 1, words: [type, subtype] };
    return { flags, size, offset: regionOffset(index), capabilities: [ofType, ...capabilities] };
  },

  /** Tells the driver that its function was reset. */
  *resetDone(k: Kernel, { core }: PciFunction): Operation<void> {
    if (core) yield* core.resetDone(k);
  },

  /** vfio_pci_ioctl_reset */
  *reset(k: Kernel, pciFunction: PciFunction): Operation<void> {
    must(k.vfioPci.resetWorks(pciFunction), rule["VFIO-PCI-RESET-1"]);
    const locks = locksOf(pciFunction);
    using _ = yield* k.lock(locks.memory);
    using device = tryLock(k, locks.device);
    must(device !== null, rule["VFIO-PCI-RESET-2"]);
    yield* k.vfioPci.resetFunction(k, pciFunction);
    k.keeps(rule["VFIO-PCI-RESET-3"]);
  },
};
