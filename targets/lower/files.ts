/** Files that the harness opens, reads and writes around a program's calls: attributes, nodes, and what probes look at. */
import { AUXILIARY_DEVICES, queuePath, typePath } from "../../model/format/attribute-path.ts";
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import type { RegisterStore } from "../../model/pci/hardware.ts";
import type { Node, Probe } from "../../model/program.ts";
import type { Topology } from "../../model/topology.ts";
import type { Assembler, SyscallArgument } from "../agent/assembler.ts";
import { timespec } from "./images.ts";
import { devicePath, groupPrefix, KVM_DEBUGFS, MDEV_DEVICES } from "./paths.ts";
import { READ_SIZE, type Shape, STATUS_SIZE } from "./shape.ts";
import { FD_SLOT, NUMBER_SLOT } from "./slots.ts";
import { AT_FDCWD, MAP_SHARED, O_RDONLY, O_RDWR, O_WRONLY, PROT_WRITE, SYS } from "./syscalls.ts";

const HARNESS = Number(MEMORY.scratch) + MEMORY.scratchSize / 2;
/** The harness's own memory, used anew by every call: one page for all but the longest text, since a page costs a fault. */
export const PATH = HARNESS;
export const TEXT = HARNESS + 1024;
/** For text that no block has room for. */
export const LONG_TEXT = HARNESS + 0x10000;

const VM_PIN = /^VmPin:\s*(\d+) kB/m;
const VM_LCK = /^VmLck:\s*(\d+) kB/m;

/** How long a function is given to fall asleep, as a struct timespec: 100 ms. The guest's clock jumps over it. */
const TIME_TO_SLEEP = timespec(100_000_000);

/** Zeros to read a link into, so that what is left of an earlier one does not count. */
const NO_TEXT = new Uint8Array(256);

/** Lowers what is done with files whose names are known. */
export class FileLowering {
  protected readonly code: Assembler;
  protected readonly topology: Topology;
  /** Which allocation of the call's own system call is to fail; 0 for none. */
  protected failNth = 0;

  constructor(code: Assembler, topology: Topology) {
    this.code = code;
    this.topology = topology;
  }

  /** The system call that the program asks for, with the failure that it asks for; those around it are the harness's. */
  protected syscall(number: number, ...args: readonly SyscallArgument[]): void {
    if (this.failNth > 0) this.code.failNth(this.failNth);
    this.code.syscall(number, ...args);
  }

  /** Opens a file, and where that succeeds does with it what is to be done, and closes it. */
  #withFile(path: string, flags: number, use: (code: Assembler, file: SyscallArgument) => void): void {
    const file = { slot: FD_SLOT };
    this.code
      .pokeText(PATH, path)
      .syscall(SYS.openat, AT_FDCWD, PATH, flags)
      .keep(FD_SLOT)
      .unlessFailed((code) => {
        use(code, file);
        code.syscall(SYS.close, file);
      });
  }

  /** Opens a file for writing and writes text to it. */
  sysfsWrite(path: string, text: string): Shape {
    this.code.pokeText(TEXT, text);
    this.#withFile(path, O_WRONLY, (_code, file) => this.syscall(SYS.write, file, TEXT, text.length));
    return { kind: "sysfs-write" };
  }

  /** Writes bytes to a file, from an offset on. */
  writeFile(path: string, offset: number, bytes: Uint8Array): Shape {
    this.code.poke(TEXT, bytes);
    this.#withFile(path, O_WRONLY, (code, file) => {
      code.syscall(SYS.pwrite64, file, TEXT, bytes.length, offset);
    });
    return { kind: "sysfs-write" };
  }

  /** Maps the first page of a file and stores to it. */
  storeToFile(path: string, stores: readonly RegisterStore[]): Shape {
    this.#withFile(path, O_RDWR, (code, file) => {
      code.syscall(SYS.mmap, 0, PAGE, PROT_WRITE, MAP_SHARED, file, 0).keep(NUMBER_SLOT);
      code.unlessFailed((mapped) => {
        for (const { at, width, value, busyNs } of stores) {
          mapped.touchWrite(at, width, value, NUMBER_SLOT);
          if (busyNs !== undefined) mapped.poke(TEXT, timespec(busyNs)).syscall(SYS.nanosleep, TEXT, 0);
        }
        mapped.syscall(SYS.munmap, { slot: NUMBER_SLOT }, PAGE);
      });
    });
    return { kind: "stores", waited: stores.map(({ busyNs }) => busyNs !== undefined) };
  }

  /** Lists a directory. */
  list(path: string): Shape {
    this.code.pokeText(PATH, path).list(PATH);
    return { kind: "list" };
  }

  /** Opens a node and closes it again, to see whether it can be opened. */
  tryOpen(node: Node): Shape {
    const shape = this.node(node);
    this.code
      .syscall(SYS.openat, AT_FDCWD, PATH, 2)
      .keep(FD_SLOT)
      .unlessUnset(FD_SLOT, (code) => code.syscall(SYS.close, { slot: FD_SLOT }));
    return shape;
  }

  protected readFile(path: string, size: number): void {
    this.#withFile(path, O_RDONLY, (code, file) => {
      this.syscall(SYS.read, file, TEXT, size);
      code.peek(TEXT, size);
    });
  }

  protected probe(probe: Probe): Shape {
    const code = this.code;
    switch (probe.kind) {
      case "driver":
        return this.readLink(`${devicePath(this.topology, probe.device)}/driver`);
      case "mdev-type":
        return this.readLink(`${devicePath(this.topology, probe.device)}/mdev_type`);
      case "type-devices":
        return this.list(`${typePath(probe)}/devices`);
      case "group-node":
      case "cdev-node": {
        const shape = this.node({ kind: probe.kind === "group-node" ? "group" : "cdev", device: probe.device });
        code.syscall(SYS.access, PATH, 0);
        return shape;
      }
      case "asleep":
        code.poke(TEXT, TIME_TO_SLEEP).syscall(SYS.nanosleep, TEXT, 0);
        this.readFile(`${devicePath(this.topology, probe.device)}/power/runtime_status`, READ_SIZE);
        return { kind: "asleep" };
      case "auxiliaries":
        return this.list(AUXILIARY_DEVICES);
      case "aux-driver":
        return this.readLink(`${AUXILIARY_DEVICES}/${probe.name}/driver`);
      case "mdevs":
        return this.list(MDEV_DEVICES);
      case "group-members":
        return this.list(`${devicePath(this.topology, probe.device)}/iommu_group/devices`);
      case "vms":
        this.list(KVM_DEBUGFS);
        return { kind: "vms" };
      case "pinned":
      case "locked":
        this.readFile("/proc/self/status", STATUS_SIZE);
        return { kind: "status", line: probe.kind === "pinned" ? VM_PIN : VM_LCK };
      case "tainted":
        this.readFile("/proc/sys/kernel/tainted", READ_SIZE);
        return { kind: "tainted" };
    }
  }

  /** Reads the last part of where a link leads. */
  readLink(path: string): Shape {
    this.code.pokeText(PATH, path).syscall(SYS.readlink, PATH, TEXT, READ_SIZE).peek(TEXT, READ_SIZE);
    return { kind: "readlink" };
  }

  /** Puts the path of a node at PATH. */
  protected node(node: Node): Shape {
    const code = this.code;
    switch (node.kind) {
      case "container":
        code.pokeText(PATH, "/dev/vfio/vfio");
        return { kind: "plain" };
      case "iommufd":
        code.pokeText(PATH, "/dev/iommu");
        return { kind: "plain" };
      case "kvm":
        code.pokeText(PATH, "/dev/kvm");
        return { kind: "plain" };
      case "wq":
        code.pokeText(PATH, queuePath(node.queue));
        return { kind: "plain" };
      case "group": {
        const prefix = groupPrefix(this.topology, node.device);
        code
          .pokeText(PATH, `${devicePath(this.topology, node.device)}/iommu_group`)
          .poke(TEXT, NO_TEXT)
          .syscall(SYS.readlink, PATH, TEXT, NO_TEXT.length - 1)
          .number(TEXT, NUMBER_SLOT)
          .pokeText(PATH, prefix)
          .pokeDecimal(PATH + prefix.length, NUMBER_SLOT);
        return { kind: "found-group" };
      }
      case "cdev": {
        const prefix = "/dev/vfio/devices/vfio";
        code
          .pokeText(PATH, `${devicePath(this.topology, node.device)}/vfio-dev/vfio*`)
          .glob(PATH, NUMBER_SLOT)
          .pokeText(PATH, prefix)
          .pokeDecimal(PATH + prefix.length, NUMBER_SLOT);
        return { kind: "plain" };
      }
    }
  }
}
