import { describe, expect, it } from "vitest";
import { LockOrder } from "../kernel/lock.ts";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Call, Place, Value } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import { errnoName } from "../uapi/errno.ts";
import { DeviceFile } from "../vfio/device.ts";
import { GroupFile } from "../vfio/group.ts";
import { VmFile } from "./kvm.ts";

const VERSIONS = ["6.1", "6.12", "7.2"] as const;
type Version = (typeof VERSIONS)[number];

function boot(version: Version = "7.2", order = new LockOrder()): Machine {
  const profile = PROFILES[version];
  if (!profile) throw new Error(`there is no profile ${version}`);
  return new Machine({ topology: REFERENCE_TOPOLOGY, profile, order });
}

const struct = (fd: Value, request: string, fields: Record<string, Value>, place?: Place): Call => {
  return {
    op: "ioctl",
    fd,
    request,
    arg: { kind: "struct", struct: place === undefined ? { fields } : { fields, place } },
  };
};
const value = (fd: Value, request: string, number: number): Call => {
  return { op: "ioctl", fd, request, arg: { kind: "value", value: number } };
};
const createDevice = (fields: Record<string, Value>, place?: Place, as = "@kv"): Call => {
  return { ...struct("@vm", "KVM_CREATE_DEVICE", fields, place), binds: { fd: as } } as Call;
};
const openGroup = (device: string): Call => ({ op: "open", node: { kind: "group", device }, as: "@group" });
const openCdev = (device: string, as = "@device"): Call => ({ op: "open", node: { kind: "cdev", device }, as });
const file = (attr: number, fd: Value, kv = "@kv"): Call => ({
  op: "ioctl",
  fd: kv,
  request: "KVM_SET_DEVICE_ATTR",
  arg: { kind: "struct", struct: { fields: { group: 1, attr, addr: { fields: { fd } } } } },
});
const add = (fd: Value, kv?: string): Call => file(1, fd, kv);
const remove = (fd: Value, kv?: string): Call => file(2, fd, kv);

/** The outcome as people write it: the number, or the errno. */
function outcome(machine: Machine, call: Call): number | string {
  const { ret } = machine.step(call);
  return ret < 0 ? errnoName(-ret) : ret;
}

function withVm(version?: Version, order?: LockOrder): Machine {
  const machine = boot(version, order);
  machine.step({ op: "open", node: { kind: "kvm" }, as: "@kvm" });
  machine.step({ ...value("@kvm", "KVM_CREATE_VM", 0), as: "@vm" } as Call);
  return machine;
}

function withDevice(version?: Version, order?: LockOrder): Machine {
  const machine = withVm(version, order);
  expect(outcome(machine, createDevice({ type: 4 }))).toBe(0);
  return machine;
}

function fileOf<T>(machine: Machine, handle: string, kind: abstract new (...args: never[]) => T): T {
  const found = machine.fileOf(handle);
  if (!(found instanceof kind)) throw new Error(`${handle} is not open as it should be`);
  return found;
}

describe("/dev/kvm and a VM", () => {
  it("say what they are, and that devices can be made", () => {
    const machine = withVm();
    expect(outcome(machine, value("@kvm", "KVM_GET_API_VERSION", 0))).toBe(12);
    expect(outcome(machine, value("@kvm", "KVM_GET_API_VERSION", 1))).toBe("EINVAL");
    for (const fd of ["@kvm", "@vm"]) {
      expect(outcome(machine, value(fd, "KVM_CHECK_EXTENSION", 89))).toBe(1);
      expect(outcome(machine, value(fd, "KVM_CHECK_EXTENSION", 0x1000))).toBe(0);
    }
    expect(outcome(machine, value("@kvm", "KVM_CREATE_VM", 99))).toBe("EINVAL");
    expect(outcome(machine, struct("@kvm", "VFIO_DEVICE_GET_INFO", { argsz: 16 }))).toBe("EINVAL");
    expect(outcome(machine, struct("@vm", "VFIO_DEVICE_GET_INFO", { argsz: 16 }))).toBe("ENOTTY");
  });
});

describe("KVM_CREATE_DEVICE", () => {
  it("asks for the struct, the type, the device that is there, and the answer's place, in this order", () => {
    const machine = withVm();
    expect(outcome(machine, createDevice({ type: 99 }, "null"))).toBe("EFAULT");
    expect(outcome(machine, createDevice({ type: 99 }, "readonly"))).toBe("ENODEV");
    expect(outcome(machine, createDevice({ type: 99, flags: 1 }))).toBe("ENODEV");
    expect(outcome(machine, createDevice({ type: 4 }, "readonly"))).toBe("EFAULT");
    expect(outcome(machine, createDevice({ type: 4, flags: 0x80 }))).toBe(0);
    expect(outcome(machine, createDevice({ type: 4 }, "readonly"))).toBe("EBUSY");
  });

  it("only looks where it is to test, and leaves fd as it was", () => {
    const machine = withDevice();
    expect(outcome(machine, createDevice({ type: 4, flags: 1, fd: 77 }))).toBe(0);
    expect(new DataView(machine.block.buffer).getUint32(4, true)).toBe(77);
    expect(outcome(machine, createDevice({ type: 4, flags: 1 }, "readonly"))).toBe("EFAULT");
  });

  it("gives a VM another once the first is closed", () => {
    const machine = withDevice();
    machine.step({ op: "close", fd: "@kv" });
    expect(outcome(machine, createDevice({ type: 4 }))).toBe(0);
  });
});

describe("attributes of kvm-vfio", () => {
  it("are asked for group, attribute, pointer and descriptor, in this order", () => {
    const machine = withDevice();
    const set = (fields: Record<string, Value>, place?: Place) =>
      outcome(machine, struct("@kv", "KVM_SET_DEVICE_ATTR", fields, place));
    expect(set({ group: 9 }, 8)).toBe("EFAULT");
    expect(set({ group: 9, attr: 9 })).toBe("ENXIO");
    expect(set({ group: 1, attr: 3 })).toBe("ENXIO");
    expect(set({ group: 1, attr: 0x1_0000_0001n })).toBe("ENXIO");
    for (const attr of [1, 2]) expect(set({ group: 1, attr })).toBe("EFAULT");
    expect(set({ group: 1, attr: 1, flags: 0xffff })).toBe("EFAULT");
    expect(outcome(machine, add(-1))).toBe("EBADF");
    expect(outcome(machine, add("@vm"))).toBe("EINVAL");
    expect(outcome(machine, remove(-1))).toBe("EBADF");
    expect(outcome(machine, remove("@vm"))).toBe("ENOENT");
    expect(outcome(machine, struct("@kv", "KVM_GET_DEVICE_ATTR", {}, "null"))).toBe("EPERM");
    expect(outcome(machine, struct("@kv", "KVM_HAS_DEVICE_ATTR", { group: 1, attr: 2 }))).toBe(0);
    expect(outcome(machine, struct("@kv", "KVM_HAS_DEVICE_ATTR", { group: 1, attr: 3 }))).toBe("ENXIO");
    expect(outcome(machine, struct("@kv", "KVM_HAS_DEVICE_ATTR", { group: 2, attr: 1 }, "null"))).toBe("EFAULT");
  });

  it.each(VERSIONS)("take a group on %s, and a device's file from 6.6 on", (version) => {
    const machine = withDevice(version);
    machine.step(openGroup("mtty0"));
    machine.step({ op: "dup", fd: "@group", as: "@dup" });
    expect(outcome(machine, remove("@group"))).toBe("ENOENT");
    expect(outcome(machine, add("@group"))).toBe(0);
    expect(outcome(machine, add("@dup"))).toBe("EEXIST");
    expect(outcome(machine, remove("@dup"))).toBe(0);
    if (version === "6.1") return;
    machine.step(openCdev("mtty0"));
    machine.step(openCdev("mtty0", "@device1"));
    expect(outcome(machine, add("@device"))).toBe(0);
    expect(outcome(machine, add("@device1"))).toBe(0);
  });
});

describe("a VM is on record", () => {
  it("in the group or file that it was told of last, until it forgets it or goes", () => {
    const machine = withDevice();
    machine.step({ ...value("@kvm", "KVM_CREATE_VM", 0), as: "@vm1" } as Call);
    machine.step({ ...struct("@vm1", "KVM_CREATE_DEVICE", { type: 4 }), binds: { fd: "@kv1" } } as Call);
    machine.step(openGroup("mtty0"));
    const { group } = fileOf(machine, "@group", GroupFile);
    const first = fileOf(machine, "@vm", VmFile).vm;
    const second = fileOf(machine, "@vm1", VmFile).vm;
    machine.step(add("@group"));
    expect(group.kvm).toBe(first);
    machine.step(add("@group", "@kv1"));
    expect(group.kvm).toBe(second);
    machine.step({ op: "close", fd: "@kv1" });
    expect(group.kvm).toBeNull();
    machine.step(openCdev("mtty0"));
    machine.step(add("@device"));
    expect(fileOf(machine, "@device", DeviceFile).kvm).toBe(first);
    machine.step(remove("@device"));
    expect(fileOf(machine, "@device", DeviceFile).kvm).toBeNull();
  });
});

describe("noncoherent DMA", () => {
  it("is a VM's while it knows a mediated device", () => {
    const machine = withDevice();
    const { vm } = fileOf(machine, "@vm", VmFile);
    machine.step(openGroup("mtty0"));
    machine.step(openCdev("mdpy0"));
    machine.step(add("@group"));
    machine.step(add("@device"));
    expect(vm.noncoherentDma).toBe(1);
    machine.step(remove("@group"));
    expect(vm.noncoherentDma).toBe(1);
    machine.step(remove("@device"));
    expect(vm.noncoherentDma).toBe(0);
    machine.step(add("@device"));
    machine.step({ op: "close", fd: "@kv" });
    expect(vm.noncoherentDma).toBe(0);
  });

  it("is what the container says on 6.1, as it is when files come and go", () => {
    const machine = withDevice("6.1");
    const { vm } = fileOf(machine, "@vm", VmFile);
    machine.step(openGroup("edu0"));
    machine.step(add("@group"));
    expect(vm.noncoherentDma).toBe(0);
    machine.step({ op: "open", node: { kind: "container" }, as: "@container" });
    machine.step(struct("@group", "VFIO_GROUP_SET_CONTAINER", { fd: "@container" }));
    machine.step(value("@container", "VFIO_SET_IOMMU", 1));
    expect(vm.noncoherentDma).toBe(0);
    machine.step({ op: "open", node: { kind: "group", device: "mtty0" }, as: "@group1" });
    machine.step(add("@group1"));
    expect(vm.noncoherentDma).toBe(1);
  });
});

describe("locks", () => {
  /** Every order in which telling a VM of a file, its forgetting it and its end take locks. */
  function orders(version: Version): string[] {
    const order = new LockOrder();
    const machine = withDevice(version, order);
    machine.step(openGroup("mtty0"));
    machine.step(add("@group"));
    machine.step(remove("@group"));
    machine.step(add("@group"));
    machine.step({ op: "close", fd: "@kv" });
    expect(order.cycles).toEqual([]);
    return [...order].map((line) => line.replace(/ \(.*\)$/, "")).filter((line) => /^k(vm->lock|v->lock)/.test(line));
  }

  it("are kv->lock or kvm->lock first, and the group's small ones last", () => {
    const right = [
      "kv->lock → group->device_lock",
      "kv->lock → group->kvm_ref_lock",
      "kvm->lock → group->kvm_ref_lock",
    ];
    for (const version of ["6.12", "7.2"] as const) expect(orders(version).sort()).toEqual(right);
  });

  it("are group_lock under kv->lock, and both under kvm->lock, on 6.1", () => {
    expect(orders("6.1").sort()).toEqual([
      "kv->lock → group->group_lock",
      "kvm->lock → group->group_lock",
      "kvm->lock → kv->lock",
    ]);
  });
});
