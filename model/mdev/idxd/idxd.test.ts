/** A guest of idxd, register by register: what it reads back, which only programs that are compared show otherwise. */
import { describe, expect, it } from "vitest";
import { ioctl, ioctlValue } from "../../ioctl-calls.ts";
import { MEMORY } from "../../kernel/memory-map.ts";
import { Blocked } from "../../kernel/operation.ts";
import { Machine } from "../../machine.ts";
import { PROFILES } from "../../profile.ts";
import type { Attribute, Call } from "../../program.ts";
import { IDXD_TOPOLOGY } from "../../reference-topology.ts";
import { errnoName } from "../../uapi/errno.ts";
import { REGION_SIZE } from "../../vfio/device-info.ts";
import { CONTROL, PCI } from "./config-space.ts";
import { COMPLETION, FLAG } from "./descriptor.ts";
import { encode } from "./encode.ts";
import { OPERATION } from "./mmio.ts";
import { CMD, COMMAND, HANDLE_IMS, REG, STATE, STATUS, WQ_CONTROL, WQ_WORD } from "./registers.ts";
import type { VirtualDsa } from "./virtual-device.ts";

const CONFIG = 7 * REGION_SIZE;
const PORTALS = 2 * REGION_SIZE;
const DEDICATED = "idxd-dsa-1dwq-v1";
const SHARED = "idxd-dsa-1swq-v1";
/** Completion records are written here. */
const RECORD = 0x1000;

const queueAttribute = (queue: string, file: (Attribute & { kind: "wq" })["file"]): Attribute => ({
  kind: "wq",
  queue,
  file,
});

class Host {
  readonly machine: Machine;

  constructor() {
    const profile = PROFILES["7.2"];
    if (!profile) throw new Error("there is no profile 7.2");
    this.machine = new Machine({ topology: IDXD_TOPOLOGY, profile });
  }

  /** The value of a call, or its errno. */
  does(call: Call): number | string {
    const { ret } = this.machine.step(call);
    return ret < 0 ? errnoName(-ret) : ret;
  }

  text(attribute: Attribute): string | undefined {
    this.machine.step({ op: "sysfs-read", attribute });
    return this.machine.answer.text;
  }

  bind(driver: string, file: "bind" | "unbind", text: string): number | string {
    return this.does({ op: "sysfs-write", attribute: { kind: "wq-driver", driver, file }, text: { text } });
  }

  create(device: string, type: string): number | string {
    return this.does({ op: "sysfs-write", attribute: { kind: "mdev-create", parent: "idxd", type }, text: { device } });
  }

  /** A guest with two pages of memory, through a container of its own. */
  guest(device: string, type = DEDICATED): Guest {
    expect(this.create(device, type)).toBe(36);
    const [container, group, fd] = [`@container-${device}`, `@group-${device}`, `@device-${device}`];
    this.does({ op: "open", node: { kind: "container" }, as: container });
    this.does({ op: "open", node: { kind: "group", device }, as: group });
    this.does(ioctl(group, "VFIO_GROUP_SET_CONTAINER", { fd: container }));
    this.does(ioctlValue(container, "VFIO_SET_IOMMU", 3));
    this.does({ op: "ioctl", fd: group, request: "VFIO_GROUP_GET_DEVICE_FD", arg: { kind: "name", device }, as: fd });
    const map = { argsz: 32, flags: 3, vaddr: MEMORY.user, iova: 0, size: 8192 };
    expect(this.does(ioctl(container, "VFIO_IOMMU_MAP_DMA", map))).toBe(0);
    return new Guest(this, fd);
  }
}

class Guest {
  readonly host: Host;
  readonly fd: string;

  constructor(host: Host, fd: string) {
    this.host = host;
    this.fd = fd;
  }

  read(offset: number, count = 4): DataView {
    expect(this.host.does({ op: "pread", fd: this.fd, count, offset })).toBe(count);
    return new DataView(this.host.machine.block.slice(0, count).buffer);
  }

  register(at: number): number {
    return this.read(at).getUint32(0, true);
  }

  store(at: number, value: number): number | string {
    const bytes = [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
    return this.host.does({ op: "pwrite", fd: this.fd, count: 4, offset: at, bytes });
  }

  /** The status that a command ends in. */
  command(code: number, operand = 0): number {
    this.store(REG.CMD, (code << CMD.SHIFT) | operand);
    return this.register(REG.CMDSTS);
  }

  configure(at: number, bytes: readonly number[]): number | string {
    return this.host.does({ op: "pwrite", fd: this.fd, count: bytes.length, offset: CONFIG + at, bytes });
  }

  /** Turns on bus mastering, the device and its queue. */
  start(): this {
    this.configure(PCI.COMMAND, [6, 0]);
    expect(this.command(COMMAND.ENABLE_DEVICE)).toBe(STATUS.SUCCESS);
    expect(this.command(COMMAND.ENABLE_WQ)).toBe(STATUS.SUCCESS);
    return this;
  }

  /** Status and bytes of the completion record of a descriptor. */
  submit(descriptor: Parameters<typeof encode>[0]): { status: number; bytes: number } {
    const { flags = 0 } = descriptor;
    const bytes = encode({ record: BigInt(RECORD), ...descriptor, flags: flags | FLAG.RECORD | FLAG.RECORD_VALID });
    expect(this.host.does({ op: "pwrite", fd: this.fd, count: 64, offset: PORTALS, bytes })).toBe(64);
    const record = this.host.machine.k.mm.content.read(MEMORY.user + BigInt(RECORD), 8);
    return { status: record[0] ?? 0, bytes: new DataView(record.buffer).getUint32(4, true) };
  }
}

describe("a virtual accelerator", () => {
  it("is an integrated endpoint of Intel's with one queue, whose tables it tells", () => {
    const guest = new Host().guest("vdsa0");
    expect(guest.read(CONFIG, 4).getUint32(0, true)).toBe(0x0b25_8086);
    expect(guest.read(CONFIG + 0x40, 4).getUint32(0, true)).toBe(0x0001_5011);
    expect(guest.register(REG.VERSION)).toBe(0x100);
    expect(guest.register(REG.WQCAP)).toBe(0x0001_0010);
    expect(guest.register(REG.WQCAP + 4)).toBe(1 << 17);
    expect(guest.register(REG.TABLE_OFFSET)).toBe(0x0005_0004);
    expect(guest.register(REG.CMDCAP)).toBe(0x67fe);
    expect(guest.read(REG.GENCAP, 8).getBigUint64(0, true)).toBe(0x00ac_0012n);
  });

  it("tells the sizes of its regions as PCI does", () => {
    const guest = new Host().guest("vdsa0");
    for (const at of [0x10, 0x14, 0x18, 0x1c, 0x20]) guest.configure(at, [255, 255, 255, 255]);
    const bar = (at: number): number => guest.read(CONFIG + at).getUint32(0, true);
    expect([0x10, 0x14, 0x18, 0x1c, 0x20].map(bar)).toEqual([0xffff_e00c, 0xffff_ffff, 0xffff_e00c, 0xffff_ffff, 0]);
    expect(guest.configure(0x10, [0, 0])).toBe("EINVAL");
  });

  it("keeps what the host has set of the queue", () => {
    const guest = new Host().guest("vdsa0");
    const words = (): number[] => Object.values(WQ_WORD).map((at) => guest.register(REG.WQCFG + at));
    const before = words();
    for (const at of Object.values(WQ_WORD)) expect(guest.store(REG.WQCFG + at, 0xffff_ffff)).toBe(4);
    const guests = WQ_CONTROL.PASID_MASK | WQ_CONTROL.PASID_ENABLE | WQ_CONTROL.PRIVILEGED;
    expect(words()).toEqual(before.map((word, i) => (i === 2 ? (word | guests) >>> 0 : word)));
    expect(before[2]).toBe(WQ_CONTROL.DEDICATED | (10 << WQ_CONTROL.PRIORITY_SHIFT));
  });
});

describe("commands", () => {
  it("go by the state of device and queue, the first that is wrong decides", () => {
    const guest = new Host().guest("vdsa0");
    expect(guest.command(31)).toBe(STATUS.INVALID_COMMAND);
    expect(guest.command(0)).toBe(STATUS.INVALID_COMMAND);
    expect(guest.command(COMMAND.DISABLE_DEVICE)).toBe(STATUS.DEVICE_DISABLED);
    expect(guest.command(COMMAND.ENABLE_DEVICE)).toBe(STATUS.NO_BUS_MASTER);
    guest.configure(PCI.COMMAND, [6, 0]);
    guest.configure(CONTROL.PASID, [1, 0]);
    expect(guest.command(COMMAND.ENABLE_DEVICE)).toBe(STATUS.PASID_SETUP);
    guest.configure(CONTROL.PAGE_REQUEST, [1, 0]);
    expect(guest.command(COMMAND.ENABLE_DEVICE)).toBe(STATUS.PASID_SETUP);
    guest.configure(CONTROL.ATS, [0, 0x80]);
    expect(guest.command(COMMAND.ENABLE_WQ, 1)).toBe(STATUS.INVALID_QUEUE);
    expect(guest.command(COMMAND.ENABLE_WQ)).toBe(STATUS.DEVICE_NOT_ENABLED);
    expect(guest.command(COMMAND.ENABLE_DEVICE)).toBe(STATUS.SUCCESS);
    expect(guest.command(COMMAND.ENABLE_DEVICE)).toBe(STATUS.DEVICE_ENABLED);
    expect(guest.register(REG.GENSTS)).toBe(STATE.ENABLED);
    expect(guest.command(COMMAND.DISABLE_WQ, 2)).toBe(STATUS.INVALID_QUEUE);
    expect(guest.command(COMMAND.DISABLE_WQ, 0x1_0001)).toBe(STATUS.INVALID_QUEUE);
    expect(guest.command(COMMAND.RESET_WQ, 1)).toBe(STATUS.QUEUE_NOT_ENABLED);
    guest.store(REG.WQCFG + WQ_WORD.CONTROL, WQ_CONTROL.PASID_ENABLE | (3 << WQ_CONTROL.PASID_SHIFT));
    expect(guest.command(COMMAND.ENABLE_WQ)).toBe(STATUS.PASID_ENABLE);
    guest.store(REG.WQCFG + WQ_WORD.CONTROL, 0);
    expect(guest.command(COMMAND.ENABLE_WQ)).toBe(STATUS.SUCCESS);
    expect(guest.command(COMMAND.ENABLE_WQ)).toBe(STATUS.QUEUE_ENABLED);
    expect(guest.register(REG.WQCFG + WQ_WORD.STATE)).toBe(1 << 30);
    expect(guest.command(COMMAND.RESET_DEVICE)).toBe(STATUS.SUCCESS);
    expect(guest.register(REG.WQCFG + WQ_WORD.STATE)).toBe(0);
    expect(guest.register(REG.GENSTS)).toBe(STATE.DISABLED);
  });

  it("give out handles of the message store, to each guest its own", () => {
    const host = new Host();
    const [one, other] = [host.guest("vdsa0"), host.guest("vdsa1")];
    expect(one.command(COMMAND.RELEASE_INT_HANDLE, 0)).toBe(STATUS.INVALID_HANDLE);
    expect(one.command(COMMAND.REQUEST_INT_HANDLE, 1)).toBe(0 << 8);
    expect(other.command(COMMAND.REQUEST_INT_HANDLE, 1)).toBe(1 << 8);
    expect(one.command(COMMAND.REQUEST_INT_HANDLE, 0)).toBe(STATUS.INVALID_VECTOR);
    expect(one.command(COMMAND.REQUEST_INT_HANDLE, 2)).toBe(STATUS.INVALID_VECTOR);
    expect(one.command(COMMAND.REQUEST_INT_HANDLE, HANDLE_IMS | 1)).toBe(STATUS.NO_HANDLE);
    expect(one.command(COMMAND.RELEASE_INT_HANDLE, 1)).toBe(STATUS.INVALID_HANDLE);
    expect(one.command(COMMAND.RELEASE_INT_HANDLE, 0)).toBe(STATUS.SUCCESS);
    expect(one.command(COMMAND.RELEASE_INT_HANDLE, 0)).toBe(STATUS.INVALID_HANDLE);
  });

  it("all end in an error once the device has lost the bus", () => {
    const guest = new Host().guest("vdsa0").start();
    guest.configure(PCI.COMMAND, [2, 0]);
    expect(guest.register(REG.GENSTS) & 3).toBe(STATE.HALT);
    expect(guest.register(REG.SWERR)).toBe(0x5101);
    expect(guest.command(COMMAND.RESET_DEVICE)).toBe(STATUS.HARDWARE_ERROR);
    expect(guest.host.does(ioctlValue(guest.fd, "VFIO_DEVICE_RESET"))).toBe(0);
    expect(guest.register(REG.GENSTS)).toBe(STATE.DISABLED);
  });
});

describe("descriptors", () => {
  it("move and fill memory that is mapped for the guest, and tell how far they came", () => {
    const guest = new Host().guest("vdsa0").start();
    const fill = { operation: OPERATION.MEMFILL, source: 0x1122_3344n, destination: 0x10n, size: 16 };
    expect(guest.submit(fill)).toEqual({ status: COMPLETION.SUCCESS, bytes: 16 });
    const move = { operation: OPERATION.MEMMOVE, source: 0x10n, destination: 0x1ff8n, size: 16 };
    expect(guest.submit(move)).toEqual({ status: COMPLETION.PAGE_FAULT | COMPLETION.WRITE, bytes: 8 });
    const { content } = guest.host.machine.k.mm;
    expect([...content.read(MEMORY.user + 0x1ff8n, 8)]).toEqual([0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0]);
    expect(guest.submit({ ...move, source: 0x1_0000n })).toEqual({ status: COMPLETION.PAGE_FAULT, bytes: 0 });
  });

  it("are refused for what the host does not give", () => {
    const guest = new Host().guest("vdsa0").start();
    expect(guest.submit({ operation: 2 }).status).toBe(COMPLETION.BAD_OPERATION);
    expect(guest.submit({ flags: FLAG.BLOCK_ON_FAULT }).status).toBe(COMPLETION.INVALID_FLAGS);
    expect(guest.submit({ operation: OPERATION.MEMFILL, size: 4097 }).status).toBe(COMPLETION.TRANSFER_SIZE);
    expect(guest.submit({ flags: FLAG.INTERRUPT }).status).toBe(COMPLETION.INVALID_HANDLE);
  });

  it("block on a fault where queue and device may, and are answered that there is no page", () => {
    const host = new Host();
    host.guest("vdsa1");
    const guest = host.guest("vdsa0");
    guest.configure(CONTROL.ATS, [0, 0x80]);
    guest.configure(CONTROL.PAGE_REQUEST, [1, 0]);
    guest.configure(CONTROL.PASID, [1, 0]);
    guest.store(REG.WQCFG + WQ_WORD.CONTROL, WQ_CONTROL.BLOCK_ON_FAULT);
    guest.start();
    const beyond = { operation: OPERATION.MEMFILL, destination: 0x1_0000n, size: 8 };
    expect(guest.submit({ ...beyond, flags: FLAG.BLOCK_ON_FAULT }).status).toBe(
      COMPLETION.PAGE_FAULT_ANSWERED | COMPLETION.WRITE,
    );
    expect(guest.submit(beyond).status).toBe(COMPLETION.PAGE_FAULT | COMPLETION.WRITE);
  });

  it("tell an error to the guest alone that made it, as its own first queue's", () => {
    const host = new Host();
    const [one, other] = [host.guest("vdsa0", SHARED), host.guest("vdsa1", SHARED)];
    one.configure(CONTROL.ATS, [0, 0x80]);
    one.configure(CONTROL.PAGE_REQUEST, [1, 0]);
    one.configure(CONTROL.PASID, [1, 0]);
    one.start();
    const bytes = encode({ operation: 2 });
    host.does({ op: "pwrite", fd: one.fd, count: 64, offset: PORTALS, bytes });
    expect(one.read(REG.SWERR, 8).getBigUint64(0, true)).toBe(0x0000_0002_0000_100dn);
    expect(other.register(REG.SWERR)).toBe(0);
    host.does({ op: "pwrite", fd: one.fd, count: 64, offset: PORTALS, bytes });
    expect(one.register(REG.SWERR)).toBe(0x100f);
  });
});

describe("the host's queues", () => {
  it("wait for guests and programs that use them", () => {
    const host = new Host();
    host.guest("vdsa0");
    expect(() => host.bind("mdev", "unbind", "wq0.0")).toThrow(Blocked);
    host.does({ op: "open", node: { kind: "wq", queue: "wq0.3" }, as: "@wq" });
    expect(() => host.bind("user", "unbind", "wq0.3")).toThrow(Blocked);
    host.does({ op: "close", fd: "@wq" });
    expect(host.bind("user", "unbind", "wq0.3")).toBe(5);
    expect(host.text(queueAttribute("wq0.3", "state"))).toBe("disabled\n");
  });

  it("that guests share go to them in turn, and dedicated ones run while their guest says so", () => {
    const host = new Host();
    const guest = host.guest("vdsa0");
    expect(host.text(queueAttribute("wq0.0", "state"))).toBe("locked\n");
    guest.start();
    expect(host.text(queueAttribute("wq0.0", "state"))).toBe("enabled\n");
    host.bind("user", "unbind", "wq0.3");
    const give: readonly ["type" | "mode" | "threshold", string][] = [
      ["type", "mdev"],
      ["mode", "shared"],
      ["threshold", "4"],
    ];
    for (const [file, text] of give) {
      expect(host.does({ op: "sysfs-write", attribute: queueAttribute("wq0.3", file), text: { text } })).toBe(
        text.length,
      );
    }
    host.bind("mdev", "bind", "wq0.3");
    for (const device of ["vdsa1", "vdsa2", "vdsa3"]) expect(host.create(device, SHARED)).toBe(36);
    const shared = host.machine.k.accelerator?.queues.map(({ instances }) => instances.length);
    expect(shared).toEqual([1, 0, 2, 1, 0, 0]);
  });

  it("map the portal that suits them", () => {
    const host = new Host();
    const guest = host.guest("vdsa0", SHARED);
    const map = (length: number, offset: number): Call => ({ op: "mmap", fd: guest.fd, length, prot: 3, offset });
    host.does(map(4096, PORTALS));
    expect(host.does(map(8192, PORTALS))).toBe("EINVAL");
    expect(host.does(map(4096, PORTALS + 8192))).toBe("EINVAL");
    expect(host.does(map(4096, CONFIG))).toBe("EINVAL");
    const [queue] = host.machine.k.accelerator?.queues.filter(({ spec }) => spec.name === "wq0.2") ?? [];
    const device: VirtualDsa | undefined = queue?.instances[0];
    expect(device?.portals).toEqual([{ queue, limited: true, pages: 1 }]);
  });
});
