/** A host with idxd's queues, and guests of them, as tests have them. */
import { ioctl, ioctlValue } from "../../ioctl-calls.ts";
import { MEMORY } from "../../kernel/memory-map.ts";
import { Machine } from "../../machine.ts";
import { PROFILES } from "../../profile.ts";
import type { Attribute, Call } from "../../program.ts";
import { IDXD_TOPOLOGY } from "../../reference-topology.ts";
import { errnoName } from "../../uapi/errno.ts";
import { REGION_SIZE } from "../../vfio/device-info.ts";
import { PCI } from "./config-space.ts";
import { FLAG } from "./descriptor.ts";
import { encode } from "./encode.ts";
import { CMD, COMMAND, REG, STATUS } from "./registers.ts";

export const CONFIG = 7 * REGION_SIZE;
export const PORTALS = 2 * REGION_SIZE;
export const DEDICATED = "idxd-dsa-1dwq-v1";
export const SHARED = "idxd-dsa-1swq-v1";
/** Completion records are written here. */
const RECORD = 0x1000;

/** Fails where a test's own steps went wrong. */
function expectEqual(actual: number | string, expected: number | string): void {
  if (actual !== expected) throw new Error(`${actual} in the place of ${expected}`);
}

export class Host {
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
    expectEqual(this.create(device, type), 36);
    const [container, group, fd] = [`@container-${device}`, `@group-${device}`, `@device-${device}`];
    this.does({ op: "open", node: { kind: "container" }, as: container });
    this.does({ op: "open", node: { kind: "group", device }, as: group });
    this.does(ioctl(group, "VFIO_GROUP_SET_CONTAINER", { fd: container }));
    this.does(ioctlValue(container, "VFIO_SET_IOMMU", 3));
    this.does({ op: "ioctl", fd: group, request: "VFIO_GROUP_GET_DEVICE_FD", arg: { kind: "name", device }, as: fd });
    const map = { argsz: 32, flags: 3, vaddr: MEMORY.user, iova: 0, size: 8192 };
    expectEqual(this.does(ioctl(container, "VFIO_IOMMU_MAP_DMA", map)), 0);
    return new Guest(this, fd);
  }
}

export class Guest {
  readonly host: Host;
  readonly fd: string;

  constructor(host: Host, fd: string) {
    this.host = host;
    this.fd = fd;
  }

  read(offset: number, count = 4): DataView {
    expectEqual(this.host.does({ op: "pread", fd: this.fd, count, offset }), count);
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
    expectEqual(this.command(COMMAND.ENABLE_DEVICE), STATUS.SUCCESS);
    expectEqual(this.command(COMMAND.ENABLE_WQ), STATUS.SUCCESS);
    return this;
  }

  /** Status and bytes of the completion record of a descriptor. */
  submit(descriptor: Parameters<typeof encode>[0]): { status: number; bytes: number } {
    const { flags = 0 } = descriptor;
    const bytes = encode({ record: BigInt(RECORD), ...descriptor, flags: flags | FLAG.RECORD | FLAG.RECORD_VALID });
    expectEqual(this.host.does({ op: "pwrite", fd: this.fd, count: 64, offset: PORTALS, bytes }), 64);
    const record = this.host.machine.k.mm.content.read(MEMORY.user + BigInt(RECORD), 8);
    return { status: record[0] ?? 0, bytes: new DataView(record.buffer).getUint32(4, true) };
  }
}
