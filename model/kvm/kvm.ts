/** VMs, as far as VFIO needs them: /dev/kvm, the VM's file, and devices made in it. Beside virt/kvm/kvm_main.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import { File } from "../kernel/file.ts";
import { type Argument, dispatch, type Ioctl, ioctl, kvmRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Mm } from "../kernel/mm.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import { field, layout } from "../uapi/layout.ts";
import { NO_ROUTES, type Routes, setGsiRouting } from "./gsi-routing.ts";
import { createIrqchip, enableCap, type Irqchip, irqLine, irqLineStatus } from "./irqchip.ts";
import { type Irqfd, kvmIrqfd } from "./irqfd.ts";
import { KvmVfio, KvmVfioFile } from "./vfio.ts";

const source = (name: string) => `virt/kvm/kvm_main.c:${name}`;

export const rule = clauses({
  "KVM-VM-CREATE-1": {
    rule: "a machine type that this processor does not offer is refused",
    errno: "EINVAL",
    source: "Documentation/virt/kvm/api.rst:KVM_CREATE_VM",
  },
  "KVM-VM-CREATE-2": {
    rule: "a VM lives until its file, its devices and all open VFIO devices that took it are closed",
    source: source("kvm_create_vm"),
    observable: "sysfs",
  },
  "KVM-VM-PROCESS-1": {
    rule: "a VM and its devices answer only the process that made it",
    errno: "EIO",
    source: source("kvm_vm_ioctl"),
  },
  "KVM-API-VERSION-1": {
    rule: "the version takes no argument",
    errno: "EINVAL",
    source: source("kvm_dev_ioctl"),
  },
  "KVM-API-VERSION-2": {
    rule: "the version is 12, and was for as long as the API is stable",
    source: "Documentation/virt/kvm/api.rst:KVM_GET_API_VERSION",
  },
  "KVM-EXTENSION-1": {
    rule: "KVM_CAP_DEVICE_CTRL is there, for /dev/kvm and for a VM, wherever KVM_CREATE_DEVICE is",
    source: "Documentation/virt/kvm/api.rst:KVM_CREATE_DEVICE",
  },
  "KVM-EXTENSION-2": {
    rule: "an extension that nobody knows is not there",
    source: "Documentation/virt/kvm/api.rst:KVM_CHECK_EXTENSION",
  },
  "KVM-DEV-UNKNOWN-1": {
    rule: "/dev/kvm answers a command that it does not know with EINVAL",
    errno: "EINVAL",
    source: "arch/x86/kvm/x86.c:kvm_arch_dev_ioctl",
  },
  "KVM-VFIO-CREATE-1": {
    rule: "the struct must be readable",
    errno: "EFAULT",
    source: source("kvm_vm_ioctl"),
  },
  "KVM-VFIO-CREATE-2": {
    rule: "the device type must be known",
    errno: "ENODEV",
    source: "Documentation/virt/kvm/api.rst:KVM_CREATE_DEVICE",
  },
  "KVM-VFIO-CREATE-3": {
    rule: "with KVM_CREATE_DEVICE_TEST nothing is made and fd is left as it was",
    source: "Documentation/virt/kvm/api.rst:KVM_CREATE_DEVICE",
    observable: "output",
  },
  "KVM-VFIO-CREATE-4": {
    rule: "a VM has one VFIO device only",
    errno: "EBUSY",
    source: "virt/kvm/vfio.c:kvm_vfio_create",
  },
  "KVM-VFIO-CREATE-5": {
    rule: "fd brings the new device's descriptor",
    source: "Documentation/virt/kvm/api.rst:KVM_CREATE_DEVICE",
    observable: "output",
  },
  "KVM-VFIO-CREATE-6": {
    rule: "the struct must be writable; otherwise no device is made",
    errno: "EFAULT",
    source: "Documentation/virt/kvm/api.rst:KVM_CREATE_DEVICE",
  },
});

/** Commands that /dev/kvm itself answers for what the processor offers. */
const DEVICE_ATTRIBUTES = new Set(["KVM_GET_DEVICE_ATTR", "KVM_HAS_DEVICE_ATTR"]);

const kvmLock = new LockClass("kvm->lock");
const irqLock = new LockClass("kvm->irq_lock");
const irqfdsLock = new LockClass("kvm->irqfds.lock");

/** struct kvm */
export class Vm {
  /** The VM's file, its devices' files, and open VFIO devices. */
  refs = 1;
  vfio: KvmVfio | null = null;
  /** kvm->arch.noncoherent_dma_count: how many of its devices said that DMA may bypass the caches. */
  noncoherentDma = 0;
  /** Its interrupt controllers in the kernel; null while it has none there. */
  irqchip: Irqchip | null = null;
  /** Where its interrupts lead, by their number. */
  routes: Routes = NO_ROUTES;
  readonly irqfds: Irqfd[] = [];
  /** Irqfds whose interrupt, or whose end, may not have reached the controllers yet. */
  readonly underWay = new Set<Irqfd>();
  /** How many of its interrupts are connected to those of devices (nr_possible_bypass_irqs). */
  bypassIrqs = 0;
  readonly lock = new Lock(kvmLock);
  readonly irqLock = new Lock(irqLock);
  readonly irqfdsLock = new Lock(irqfdsLock);
  /** The memory that it runs in: that of the process that made it. */
  readonly mm: Mm;
  /** Its descriptor when it was made: with the process it names the VM's directory in debugfs. */
  readonly firstFd: number;
  /** False for a VM that found a directory of its name there already, null where nobody knows. */
  readonly inDebugfs: boolean | null;

  constructor(mm: Mm, firstFd: number, inDebugfs: boolean | null) {
    this.mm = mm;
    this.firstFd = firstFd;
    this.inDebugfs = inDebugfs;
  }
}

export class KvmFile extends File {
  readonly kind = "kvm";

  override ioctl(k: Kernel, command: Ioctl, arg: Argument): Operation<number> {
    const known = dispatch(KVM_COMMANDS, k, this, command, arg);
    if (known) return known;
    if (DEVICE_ATTRIBUTES.has(command.name)) throw new Unmodelled("attributes of the processor");
    return refuse(rule["KVM-DEV-UNKNOWN-1"]);
  }
}

export class VmFile extends File {
  readonly kind = "vm";
  override readonly positioned = false;
  readonly vm: Vm;

  constructor(vm: Vm) {
    super(2);
    this.vm = vm;
  }

  override ioctl(k: Kernel, command: Ioctl, arg: Argument): Operation<number> {
    must(this.vm.mm === k.mm, rule["KVM-VM-PROCESS-1"]);
    const known = dispatch(VM_COMMANDS, k, this, command, arg);
    if (known) return known;
    if (command.request >>> 8 === 0x3b) return refuse(vfsRule["VFS-IOCTL-1"]);
    throw new Unmodelled(`${command.name} on a VM`);
  }

  /** kvm_vm_release */
  override *release(k: Kernel): Operation<void> {
    yield* k.irqfd.releaseVm(k, this.vm);
    k.kvm.put(k, this.vm);
  }
}

export const createVm = ioctl<KvmFile>({
  name: "KVM_CREATE_VM",
  request: kvmRequest(0x01),
  argument: { kind: "value", values: [0, 31, 99] },
  on: ["kvm"],
  returns: "vm",
  weight: 0.7,
  *run(k, _file, { value }): Operation<number> {
    must(value === 0, rule["KVM-VM-CREATE-1"]);
    if (k.mm !== k.mms[0]) throw new Unmodelled("the directory in debugfs of another process's VM");
    k.alloc();
    const fd = k.chooseFd({ at: "return" });
    const vm = new Vm(k.mm, fd, k.kvm.isInDebugfs(k, fd));
    k.vms.add(vm);
    k.fds.install(fd, new VmFile(vm));
    k.keeps(rule["KVM-VM-CREATE-2"]);
    return fd;
  },
});

const DEV_TYPE_VFIO = 4;
const FLAG_TEST = 1;

const CreateDevice = layout("kvm_create_device", {
  type: field.value32(DEV_TYPE_VFIO, 99, 0),
  fd: field.out32("kvm-vfio"),
  flags: field.flags({ KVM_CREATE_DEVICE_TEST: FLAG_TEST }),
});

export const createDevice = ioctl<VmFile>({
  name: "KVM_CREATE_DEVICE",
  request: kvmRequest(0xe0, 3, CreateDevice.size),
  argument: { kind: "struct", layout: CreateDevice },
  on: ["vm"],
  weight: 2,
  useful: (_k, { vm }) => vm.vfio === null,
  *run(k, file, { block }): Operation<number> {
    block.copyFrom(CreateDevice.size, rule["KVM-VFIO-CREATE-1"]);
    must(block.u32(0) === DEV_TYPE_VFIO, rule["KVM-VFIO-CREATE-2"]);
    if (block.u32(8) & FLAG_TEST) {
      must(block.canWrite(CreateDevice.size), rule["KVM-VFIO-CREATE-6"]);
      k.keeps(rule["KVM-VFIO-CREATE-3"]);
      return 0;
    }
    const { vm } = file;
    k.alloc();
    {
      using _ = yield* k.lock(vm.lock);
      must(vm.vfio === null, rule["KVM-VFIO-CREATE-4"]);
      must(k.kvm.canReturnDevice(block), rule["KVM-VFIO-CREATE-6"]);
      vm.vfio = new KvmVfio(vm);
    }
    vm.refs++;
    yield* k.kvm.makeDeviceFile(k, vm);
    const fd = k.installFd({ at: "field", offset: 4, width: 4 }, new KvmVfioFile(vm.vfio));
    block.put(4, 4, fd, rule["KVM-VFIO-CREATE-6"]);
    k.keeps(rule["KVM-VFIO-CREATE-5"]);
    return 0;
  },
});

const API_VERSION = 12;

export const getApiVersion = ioctl<KvmFile>({
  name: "KVM_GET_API_VERSION",
  request: kvmRequest(0x00),
  argument: { kind: "value", values: [0, 1] },
  on: ["kvm"],
  weight: 0.1,
  *run(k, _file, { value }): Operation<number> {
    must(value === 0, rule["KVM-API-VERSION-1"]);
    k.keeps(rule["KVM-API-VERSION-2"]);
    return API_VERSION;
  },
});

const CAP_DEVICE_CTRL = 89;
/** Below it are extensions that processors and versions decide on. */
const NO_EXTENSION = 0x1000;

export const checkExtension = ioctl<KvmFile | VmFile>({
  name: "KVM_CHECK_EXTENSION",
  request: kvmRequest(0x03),
  argument: { kind: "value", values: [CAP_DEVICE_CTRL, NO_EXTENSION] },
  on: ["kvm", "vm"],
  weight: 0.1,
  *run(k, _file, { value }): Operation<number> {
    if (value === CAP_DEVICE_CTRL) {
      k.keeps(rule["KVM-EXTENSION-1"]);
      return k.kvm.saysDeviceControl();
    }
    if (value < NO_EXTENSION) throw new Unmodelled("what the processor offers");
    k.keeps(rule["KVM-EXTENSION-2"]);
    return 0;
  },
});

const KVM_COMMANDS: readonly Ioctl<KvmFile>[] = [createVm, getApiVersion, checkExtension];
const VM_COMMANDS: readonly Ioctl<VmFile>[] = [
  createDevice,
  checkExtension,
  createIrqchip,
  enableCap,
  irqLine,
  irqLineStatus,
  setGsiRouting,
  kvmIrqfd,
];

export const steps = {
  /** kvm_vm_ioctl_check_extension_generic, asked for KVM_CAP_DEVICE_CTRL */
  saysDeviceControl(): number {
    return 1;
  },

  /** anon_inode_getfd for a new device, which goes where there is none to be had. */
  *makeDeviceFile(k: Kernel, vm: Vm): Operation<void> {
    try {
      k.alloc();
    } catch (refusal) {
      using _ = yield* k.lock(vm.lock);
      vm.vfio = null;
      vm.refs--;
      throw refusal;
    }
  },

  /** kvm_create_vm_debugfs: a VM does without, where its name is taken, or where memory runs short. */
  isInDebugfs(k: Kernel, fd: number): boolean | null {
    const sameName = [...k.vms].filter(({ inDebugfs, firstFd }) => inDebugfs !== false && firstFd === fd);
    if (sameName.some(({ inDebugfs }) => inDebugfs)) return false;
    return sameName.length > 0 || k.memory.failed ? null : true;
  },

  /** kvm_put_kvm */
  put(k: Kernel, vm: Vm): void {
    vm.refs--;
    if (vm.refs === 0) k.vms.delete(vm);
  },

  /** Whether the descriptor of a new device can be handed to the caller. */
  canReturnDevice(block: Argument["block"]): boolean {
    return block.canWrite(CreateDevice.size);
  },
};
