/**
 * Calls as lines that strace might print, for people. Handles go by their names, so that a listing is the same on every
 * machine; what is wrong with a pointer stands where the pointer would.
 */
import "../machine.ts";
import { isStruct } from "../kernel/encode.ts";
import { findIoctl } from "../kernel/ioctl.ts";
import type {
  Attribute,
  Call,
  FieldValue,
  Node,
  Place,
  Probe,
  ReadBuffer,
  StructArgument,
  WriteBuffer,
} from "../program.ts";
import { bridgeAbove, busName, type Topology } from "../topology.ts";
import type { Field, Layout } from "../uapi/layout.ts";
import { AUXILIARY_DEVICES, fixedPath, queuePath, typePath } from "./attribute-path.ts";
import { named, namesOfArgument } from "./names.ts";
import { handle, hex, printData, printField, printValue, quote } from "./values.ts";

const SEEK = ["SEEK_SET", "SEEK_CUR", "SEEK_END"] as const;

export { printOutcome } from "./outcome.ts";

/**
 * One call: `group0 = open("/dev/vfio/<group of nic0.0>", O_RDWR)`. With a topology, devices go by their bus names where
 * the call has them as text; without, by the program's own. An allocation that is to fail stands behind: `(fail_nth 3)`.
 */
export function printCall(call: Call, topology?: Topology): string {
  const own = printSystemCall(call, topology);
  const line = call.by === undefined ? own : `${handle(call.by)}: ${own}`;
  return call.failNth === undefined ? line : `${line} (fail_nth ${call.failNth})`;
}

function printSystemCall(call: Call, topology: Topology | undefined): string {
  switch (call.op) {
    case "open":
      return `${handle(call.as)} = open(${quote(nodePath(call.node))}, ${openFlags(call.flags ?? 2)})`;
    case "eventfd":
      return `${handle(call.as)} = eventfd(0, EFD_NONBLOCK)`;
    case "memfd": {
      const file = handle(call.as);
      const made = (flags: string): string =>
        `${file} = memfd_create("memfd", ${flags}), ftruncate(${file}, ${call.size})`;
      return call.sealed ? `${made("MFD_ALLOW_SEALING")}, fcntl(${file}, F_ADD_SEALS, F_SEAL_WRITE)` : made("0");
    }
    case "close":
      return `close(${printValue(call.fd)})`;
    case "dup":
      return `${handle(call.as)} = dup(${printValue(call.fd)})`;
    case "ioctl":
      return printIoctl(call, topology);
    case "read":
      return `read(${printValue(call.fd)}, ${readBuffer(call)}, ${call.count})`;
    case "write":
      return `write(${printValue(call.fd)}, ${writeBuffer(call)}, ${call.count})`;
    case "pread":
      return `pread(${printValue(call.fd)}, ${readBuffer(call)}, ${call.count}, ${hex(call.offset)})`;
    case "pwrite":
      return `pwrite(${printValue(call.fd)}, ${writeBuffer(call)}, ${call.count}, ${hex(call.offset)})`;
    case "poll":
      return `poll({fd=${printValue(call.fd)}, events=<all>}, 1, 0)`;
    case "lseek":
      return `lseek(${printValue(call.fd)}, ${call.offset}, ${SEEK[call.whence] ?? call.whence})`;
    case "mmap":
      return printMmap(call);
    case "munmap":
      return `munmap(${printValue(call.at)}, ${call.length})`;
    case "load":
      return printAccess(call);
    case "store":
      return `${printAccess(call)} = ${hex(call.value)}`;
    case "sysfs-write":
      return printWrite(call, topology);
    case "start":
      return `${handle(call.as)} = start(${printWrite(call, topology)})`;
    case "join":
      return `join(${handle(call.task)})`;
    case "fork":
      return `${handle(call.as)} = clone(CLONE_FILES | SIGCHLD)`;
    case "exit":
      return `exit(${handle(call.process)})`;
    case "sysfs-read":
      return `read(${quote(attributePath(call.attribute, topology))})`;
    case "probe":
      return printProbe(call.probe, topology);
    case "capset":
      return `capset({effective=${printEffective(call.without)}})`;
    case "prlimit":
      return `prlimit64(0, ${call.resource}, {rlim_cur=${printLimit(call.soft)}, rlim_max=${printLimit(call.hard)}}, NULL)`;
  }
}

function printWrite(call: Call & { op: "sysfs-write" | "start" }, topology: Topology | undefined): string {
  const text = "device" in call.text ? deviceName(call.text.device, topology) : call.text.text;
  return `write(${quote(attributePath(call.attribute, topology))}, ${quote(text)})`;
}

function printMmap(call: Call & { op: "mmap" }): string {
  const how = `${protection(call.prot)}, ${call.private ? "MAP_PRIVATE" : "MAP_SHARED"}`;
  const line = `mmap(NULL, ${call.length}, ${how}, ${printValue(call.fd)}, ${hex(call.offset)})`;
  return call.as === undefined ? line : `${handle(call.as)} = ${line}`;
}

function printAccess({ at, offset, width }: Call & { op: "load" | "store" }): string {
  return `*(uint${8 * width}_t *)(${printValue(at)} + ${hex(offset)})`;
}

function printEffective(without: readonly string[]): string {
  return without.length === 0 ? "<permitted>" : `<permitted>&~(${without.map((name) => `1<<${name}`).join("|")})`;
}

const RLIM64_INFINITY = (1n << 64n) - 1n;

function printLimit(bytes: number | bigint): string {
  if (bytes === RLIM64_INFINITY) return "RLIM64_INFINITY";
  return bytes !== 0 && BigInt(bytes) % 1024n === 0n ? `${BigInt(bytes) / 1024n}*1024` : `${bytes}`;
}

function printIoctl(call: Call & { op: "ioctl" }, topology: Topology | undefined): string {
  const line = `ioctl(${printValue(call.fd)}, ${call.request}, ${printArgument(call, topology)})`;
  return call.as === undefined ? line : `${handle(call.as)} = ${line}`;
}

/** A name that is longer is not shown. */
const LONG_NAME = 255;

function printArgument({ request, arg, binds }: Call & { op: "ioctl" }, topology: Topology | undefined): string {
  switch (arg.kind) {
    case "value": {
      if (typeof arg.value === "string") return handle(arg.value);
      const names = namesOfArgument(request);
      return (names && named(Number(arg.value), names)) ?? printValue(arg.value);
    }
    case "name": {
      const { device, text = "" } = arg;
      const name = device === undefined ? text : deviceName(device, topology) + text;
      return placed(arg.place, name.length > LONG_NAME ? `<${name.length} bytes of text>` : quote(name));
    }
    case "struct": {
      const shape = findIoctl(request)?.argument;
      return printStruct(arg.struct, shape?.kind === "struct" ? shape.layout : undefined, binds);
    }
  }
}

/** Fields in the struct's order; those that bring a handle with an arrow: `pt_id=ioas0→hwpt1`. */
function printStruct(
  { fields, place, tail }: StructArgument,
  layout: Layout | undefined,
  binds: Readonly<Record<string, string>> = {},
): string {
  const parts: string[] = [];
  for (const field of layout?.fields ?? []) {
    const value = fields[field.name];
    const brings = binds[field.name];
    if (value === undefined && brings === undefined) continue;
    const given = value === undefined ? "" : `=${printFieldValue(value, field, layout)}`;
    parts.push(`${field.name}${given}${brings === undefined ? "" : `→${handle(brings)}`}`);
  }
  for (const [name, value] of Object.entries(fields)) {
    if (layout?.fields.some((field) => field.name === name)) continue;
    parts.push(`${name}=${printFieldValue(value, undefined, layout)}`);
  }
  if (tail && tail.length > 0) parts.push(printTail(tail));
  return placed(place, `{${parts.join(", ")}}`);
}

function printFieldValue(value: FieldValue, field: Field | undefined, of: Layout | undefined): string {
  if (isStruct(value)) return printStruct(value, field?.meaning.kind === "pointer" ? field.meaning.to : undefined);
  if (typeof value === "object") return `[${value.map(printValue).join(", ")}]`;
  return field && of ? printField(of, field.name, field.meaning, value) : printValue(value);
}

function printTail(tail: readonly number[]): string {
  const bytes = tail.every((byte) => byte === 0)
    ? "all zero"
    : tail.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return `<${tail.length} more ${tail.length === 1 ? "byte" : "bytes"}: ${bytes}>`;
}

/** What lies at a place; nothing does where there is no memory. */
function placed(place: Place | undefined, content: string): string {
  if (place === undefined) return content;
  if (place === "null") return "NULL";
  if (place === "unmapped") return "<unmapped>";
  if (place === "readonly") return `<read-only> ${content}`;
  return `<first ${place} ${place === 1 ? "byte" : "bytes"} only> ${content}`;
}

function readBuffer({ place, into }: ReadBuffer): string {
  if (into !== undefined) return `→${handle(into)}`;
  return place === "readonly" ? "<read-only>" : placed(place, "buf");
}

function writeBuffer({ place, bytes, from }: WriteBuffer): string {
  if (from !== undefined) return handle(from);
  return placed(place, bytes && bytes.length > 0 ? printData(bytes) : "buf");
}

const ACCESS_MODES: readonly (string | undefined)[] = ["O_RDONLY", "O_WRONLY", "O_RDWR"];

function openFlags(flags: number): string {
  const mode = ACCESS_MODES[flags & 3] ?? "O_ACCMODE";
  const rest = flags & ~3;
  return rest === 0 ? mode : `${mode}|${hex(rest)}`;
}

function protection(prot: number): string {
  const names = { PROT_READ: 1, PROT_WRITE: 2, PROT_EXEC: 4 };
  return named(prot, { kind: "bits", names }) ?? "PROT_NONE";
}

function nodePath(node: Node): string {
  switch (node.kind) {
    case "container":
      return "/dev/vfio/vfio";
    case "iommufd":
      return "/dev/iommu";
    case "kvm":
      return "/dev/kvm";
    case "group":
      return `/dev/vfio/<group of ${node.device}>`;
    case "cdev":
      return `/dev/vfio/devices/<node of ${node.device}>`;
    case "wq":
      return queuePath(node.queue);
  }
}

function deviceName(device: string, topology: Topology | undefined): string {
  return topology ? busName(topology, device) : `<${device}>`;
}

/** Directory of a device; without a topology the bus is the one on which such a thing is mostly looked for. */
function devicePath(device: string, topology: Topology | undefined, bus: "pci" | "mdev"): string {
  const isMdev = topology ? !topology.functions.some((spec) => spec.name === device) : bus === "mdev";
  return `/sys/bus/${isMdev ? "mdev" : "pci"}/devices/${deviceName(device, topology)}`;
}

/** A bridge goes by the function behind it where nobody knows its address, or there is none. */
function bridgeName(device: string, topology: Topology | undefined): string {
  return (topology && bridgeAbove(topology, device)?.address) ?? `<bridge above ${device}>`;
}

function attributePath(attribute: Attribute, topology: Topology | undefined): string {
  switch (attribute.kind) {
    case "driver_override":
      return `${devicePath(attribute.device, topology, "pci")}/driver_override`;
    case "sriov":
    case "pci-device":
      return `${devicePath(attribute.device, topology, "pci")}/${attribute.file}`;
    case "pci-bridge":
      return `/sys/bus/pci/devices/${bridgeName(attribute.device, topology)}/${attribute.file}`;
    case "mdev-remove":
      return `${devicePath(attribute.device, topology, "mdev")}/remove`;
    case "mdev-vendor":
      return `${devicePath(attribute.device, topology, "mdev")}/vendor/${attribute.file}`;
    default:
      return fixedPath(attribute);
  }
}

function printProbe(probe: Probe, topology: Topology | undefined): string {
  switch (probe.kind) {
    case "driver":
      return `readlink(${quote(`${devicePath(probe.device, topology, "pci")}/driver`)})`;
    case "group-node":
      return `access(${quote(nodePath({ kind: "group", device: probe.device }))}, F_OK)`;
    case "cdev-node":
      return `access(${quote(nodePath({ kind: "cdev", device: probe.device }))}, F_OK)`;
    case "asleep":
      return `usleep(100000), read(${quote(`${devicePath(probe.device, topology, "pci")}/power/runtime_status`)})`;
    case "auxiliaries":
      return `list("${AUXILIARY_DEVICES}")`;
    case "aux-driver":
      return `readlink(${quote(`${AUXILIARY_DEVICES}/${probe.name}/driver`)})`;
    case "mdevs":
      return `list("/sys/bus/mdev/devices")`;
    case "mdev-type":
      return `readlink(${quote(`${devicePath(probe.device, topology, "mdev")}/mdev_type`)})`;
    case "type-devices":
      return `list(${quote(`${typePath(probe)}/devices`)})`;
    case "group-members":
      return `list(${quote(`${devicePath(probe.device, topology, "pci")}/iommu_group/devices`)})`;
    case "vms":
      return `count_vms("/sys/kernel/debug/kvm")`;
    case "pinned":
      return `read("/proc/self/status", VmPin)`;
    case "locked":
      return `read("/proc/self/status", VmLck)`;
    case "tainted":
      return `read("/proc/sys/kernel/tainted", TAINT_USER)`;
  }
}
