/** The VFIO device of a VM: which VFIO files belong to it. Beside virt/kvm/vfio.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import { File } from "../kernel/file.ts";
import { type Argument, dispatch, type Ioctl, ioctl, kvmRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import { field, layout } from "../uapi/layout.ts";
import { DeviceFile, type VfioDevice } from "../vfio/device.ts";
import { GroupFile } from "../vfio/group.ts";
import { coherencySteps } from "./coherency.ts";
import { type Vm, rule as vmRule } from "./kvm.ts";

const source = (name: string) => `virt/kvm/vfio.c:${name}`;

export const rule = clauses({
  "KVM-VFIO-ATTR-1": {
    rule: "the struct must be readable",
    errno: "EFAULT",
    source: "virt/kvm/kvm_main.c:kvm_device_ioctl_attr",
  },
  "KVM-VFIO-ATTR-2": {
    rule: "only the FILE group has attributes",
    errno: "ENXIO",
    source: "Documentation/virt/kvm/devices/vfio.rst",
  },
  "KVM-VFIO-ATTR-3": {
    rule: "the FILE group has ADD and DEL only",
    errno: "ENXIO",
    source: "Documentation/virt/kvm/devices/vfio.rst",
  },
  "KVM-VFIO-ATTR-4": {
    rule: "addr must point to a readable descriptor",
    errno: "EFAULT",
    source: source("kvm_vfio_set_file"),
  },
  "KVM-VFIO-ATTR-5": {
    rule: "ADD and DEL of the FILE group are said to be there, whatever addr",
    source: "Documentation/virt/kvm/devices/vfio.rst",
  },
  "KVM-VFIO-ATTR-6": {
    rule: "attributes can't be read",
    errno: "EPERM",
    source: "virt/kvm/kvm_main.c:kvm_device_ioctl_attr",
  },
  "KVM-VFIO-ADD-1": {
    rule: "the descriptor must be open",
    errno: "EBADF",
    source: source("kvm_vfio_file_add"),
  },
  "KVM-VFIO-ADD-2": {
    rule: "the file must be a VFIO group or device",
    errno: "EINVAL",
    source: source("kvm_vfio_file_add"),
    since: "6.6",
  },
  "KVM-VFIO-ADD-3": {
    rule: "the file must be a VFIO group",
    errno: "EINVAL",
    source: source("kvm_vfio_file_add"),
    until: "6.5",
  },
  "KVM-VFIO-ADD-4": {
    rule: "a file can't be added twice, a duplicate of its descriptor neither",
    errno: "EEXIST",
    source: source("kvm_vfio_file_add"),
  },
  "KVM-VFIO-ADD-5": {
    rule: "the file is held from now on, and what it opens takes the VM",
    source: "Documentation/virt/kvm/devices/vfio.rst",
    observable: "later-call",
  },
  "KVM-VFIO-ADD-6": {
    rule: "a device that is open already stays as it is until it is opened anew",
    source: "Documentation/virt/kvm/devices/vfio.rst",
    since: "6.3",
    observable: "later-call",
  },
  "KVM-VFIO-DEL-1": {
    rule: "the descriptor must be open",
    errno: "EBADF",
    source: source("kvm_vfio_file_del"),
  },
  "KVM-VFIO-DEL-2": {
    rule: "the file must have been added",
    errno: "ENOENT",
    source: source("kvm_vfio_file_del"),
  },
  "KVM-VFIO-DEL-3": {
    rule: "the file is let go, which may close it",
    source: "Documentation/virt/kvm/devices/vfio.rst",
    observable: "later-call",
  },
  "KVM-VFIO-DEL-4": {
    rule: "a device that is open keeps the VM that it took, though the VM has forgotten its file",
    source: "drivers/vfio/vfio_main.c:vfio_device_put_kvm",
    since: "6.3",
    observable: "later-call",
  },
  "KVM-VFIO-RELEASE-1": {
    rule: "the last close lets every file go, and the VM may have another such device",
    source: source("kvm_vfio_release"),
    observable: "later-call",
  },
});

const kvLock = new LockClass("kv->lock");

/** struct kvm_vfio */
export class KvmVfio {
  readonly vm: Vm;
  readonly files: File[] = [];
  /** Whether the VM was told of noncoherent DMA. */
  noncoherent = false;
  readonly lock = new Lock(kvLock);
  constructor(vm: Vm) {
    this.vm = vm;
  }
}

export class KvmVfioFile extends File {
  readonly kind = "kvm-vfio";
  override readonly positioned = false;
  readonly kv: KvmVfio;

  constructor(kv: KvmVfio) {
    super(2);
    this.kv = kv;
  }

  override ioctl(k: Kernel, command: Ioctl, arg: Argument): Operation<number> {
    must(this.kv.vm.mm === k.mm, vmRule["KVM-VM-PROCESS-1"]);
    return dispatch(COMMANDS, k, this, command, arg) ?? refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override release(k: Kernel): Operation<void> {
    return k.kvmVfio.release(k, this.kv);
  }
}

const GROUP_FILE = 1;
const FILE_ADD = 1;
const FILE_DEL = 2;

const FilePointer = layout("int", { fd: field.fd("group", "device") });

const DeviceAttr = layout("kvm_device_attr", {
  flags: field.flags(),
  group: field.value32(GROUP_FILE, 0, 5),
  attr: field.value64(FILE_ADD, FILE_DEL, 3, 0),
  addr: field.pointer(FilePointer),
});
const ATTR_GROUP = 4;
const ATTR_ATTR = 8;
const ATTR_ADDR = 16;

export const setDeviceAttr = ioctl<KvmVfioFile>({
  name: "KVM_SET_DEVICE_ATTR",
  request: kvmRequest(0xe1, 1, DeviceAttr.size),
  argument: { kind: "struct", layout: DeviceAttr },
  on: ["kvm-vfio"],
  weight: 3,
  *run(k, file, { block, at }): Operation<number> {
    block.copyFrom(DeviceAttr.size, rule["KVM-VFIO-ATTR-1"]);
    must(block.u32(ATTR_GROUP) === GROUP_FILE, rule["KVM-VFIO-ATTR-2"]);
    const attr = block.u64(ATTR_ATTR);
    must(attr === BigInt(FILE_ADD) || attr === BigInt(FILE_DEL), rule["KVM-VFIO-ATTR-3"]);
    const pointed = at(block.u64(ATTR_ADDR));
    pointed.copyFrom(FilePointer.size, rule["KVM-VFIO-ATTR-4"]);
    const fd = pointed.s32(0);
    if (attr === BigInt(FILE_ADD)) yield* k.kvmVfio.add(k, file.kv, fd);
    else yield* k.kvmVfio.remove(k, file.kv, fd);
    return 0;
  },
});

export const getDeviceAttr = ioctl<KvmVfioFile>({
  name: "KVM_GET_DEVICE_ATTR",
  request: kvmRequest(0xe2, 1, DeviceAttr.size),
  argument: { kind: "struct", layout: DeviceAttr },
  on: ["kvm-vfio"],
  weight: 0.1,
  *run(): Operation<number> {
    return refuse(rule["KVM-VFIO-ATTR-6"]);
  },
});

export const hasDeviceAttr = ioctl<KvmVfioFile>({
  name: "KVM_HAS_DEVICE_ATTR",
  request: kvmRequest(0xe3, 1, DeviceAttr.size),
  argument: { kind: "struct", layout: DeviceAttr },
  on: ["kvm-vfio"],
  weight: 0.5,
  *run(k, _file, { block }): Operation<number> {
    block.copyFrom(DeviceAttr.size, rule["KVM-VFIO-ATTR-1"]);
    must(block.u32(ATTR_GROUP) === GROUP_FILE, rule["KVM-VFIO-ATTR-2"]);
    const attr = block.u64(ATTR_ATTR);
    must(attr === BigInt(FILE_ADD) || attr === BigInt(FILE_DEL), rule["KVM-VFIO-ATTR-3"]);
    k.keeps(rule["KVM-VFIO-ATTR-5"]);
    return 0;
  },
});

const COMMANDS: readonly Ioctl<KvmVfioFile>[] = [setDeviceAttr, getDeviceAttr, hasDeviceAttr];

/** The devices behind a file that is one of VFIO's. */
function openDevices(file: File): readonly VfioDevice[] {
  if (file instanceof GroupFile) return file.group.devices;
  return file instanceof DeviceFile ? [file.device] : [];
}

export const steps = {
  ...coherencySteps,

  /** kvm_vfio_file_add */
  *add(k: Kernel, kv: KvmVfio, fd: number): Operation<void> {
    const file = k.fds.get(fd);
    must(file !== undefined, rule["KVM-VFIO-ADD-1"]);
    if (k.since("6.6")) must(file instanceof GroupFile || file instanceof DeviceFile, rule["KVM-VFIO-ADD-2"]);
    else must(file instanceof GroupFile, rule["KVM-VFIO-ADD-3"]);
    {
      using _ = yield* k.lock(kv.lock);
      must(!kv.files.includes(file), rule["KVM-VFIO-ADD-4"]);
      k.alloc();
      file.refs++;
      kv.files.push(file);
      yield* k.kvmVfio.setKvm(k, file, kv.vm);
      if (k.since("6.6")) yield* k.kvmVfio.updateCoherency(k, kv);
    }
    if (!k.since("6.6")) yield* k.kvmVfio.updateCoherency(k, kv);
    k.keeps(rule["KVM-VFIO-ADD-5"]);
    if (openDevices(file).some(({ openCount, kvm }) => openCount > 0 && kvm !== kv.vm)) k.keeps(rule["KVM-VFIO-ADD-6"]);
  },

  /** kvm_vfio_file_del */
  *remove(k: Kernel, kv: KvmVfio, fd: number): Operation<void> {
    const file = k.fds.get(fd);
    must(file !== undefined, rule["KVM-VFIO-DEL-1"]);
    {
      using _ = yield* k.lock(kv.lock);
      const at = kv.files.indexOf(file);
      must(at >= 0, rule["KVM-VFIO-DEL-2"]);
      yield* k.kvmVfio.free(k, kv, at);
      if (k.since("6.6")) yield* k.kvmVfio.updateCoherency(k, kv);
    }
    if (!k.since("6.6")) yield* k.kvmVfio.updateCoherency(k, kv);
    k.keeps(rule["KVM-VFIO-DEL-3"]);
    if (openDevices(file).some(({ kvm }) => kvm === kv.vm)) k.keeps(rule["KVM-VFIO-DEL-4"]);
  },

  /** kvm_vfio_file_free */
  *free(k: Kernel, kv: KvmVfio, at: number): Operation<void> {
    const [file] = kv.files.splice(at, 1);
    if (!file) return;
    yield* k.kvmVfio.setKvm(k, file, null);
    k.putFile(file);
  },

  /** kvm_vfio_release: the VM loses every file. */
  *release(k: Kernel, kv: KvmVfio): Operation<void> {
    {
      using _ = yield* k.lock(kv.vm.lock);
      kv.vm.vfio = null;
      while (kv.files.length > 0) yield* k.kvmVfio.free(k, kv, 0);
      yield* k.kvmVfio.updateCoherency(k, kv);
      k.keeps(rule["KVM-VFIO-RELEASE-1"]);
    }
    k.kvm.put(k, kv.vm);
  },

  /** vfio_file_set_kvm: under a spinlock of its own, since the pointer is not counted. */
  *setKvm(k: Kernel, file: File, vm: Vm | null): Operation<void> {
    if (file instanceof GroupFile) {
      // Before 6.3 the group's own lock guards the pointer, under kv->lock.
      using _ = yield* k.lock(k.since("6.3") ? file.group.kvmRefLock : file.group.groupLock);
      file.group.kvm = vm;
    } else if (file instanceof DeviceFile) {
      using _ = yield* k.lock(file.kvmRefLock);
      file.kvm = vm;
    }
  },
};
