/** Calls as C: a block each, in which structs are filled by field names and what comes back is compared. */

import { AUXILIARY_DEVICES, fixedPath, queuePath, typePath } from "../../model/format/attribute-path.ts";
import { printCall } from "../../model/format/print.ts";
import { madeBy } from "../../model/handles.ts";
import { CAPABILITIES } from "../../model/kernel/credentials.ts";
import {
  type Attribute,
  type Call,
  type Capability,
  type IoctlArgument,
  mayRunOut,
  type Node,
  type Probe,
  type Program,
  type Value,
  type WriteBuffer,
} from "../../model/program.ts";
import type { Topology } from "../../model/topology.ts";
import { attributePath as pathOfAttribute } from "../../targets/lower/paths.ts";
import { workLeft } from "../../targets/lower/put-off.ts";
import { deviceVariable } from "./devices.ts";
import type { Expectation } from "./expectations.ts";
import { isChosen, isNowhere, placed, readableAt } from "./placing.ts";
import { StructWriter } from "./struct-writer.ts";
import type { Style } from "./style.ts";
import { cNumber, cString, indent, type Names } from "./syntax.ts";
import { functionCall, ioctlExpression, openFlags, systemCall } from "./system-call.ts";
import { Values } from "./values.ts";

/** Writes the calls of a program one after the other. */
export class CallWriter {
  readonly #program: Program;
  readonly #topology: Topology;
  readonly #expectations: readonly (Expectation | null)[];
  readonly #names: Names;
  readonly #style: Style;
  readonly #values: Values;
  /** Tasks that were started, by their handles. */
  readonly #tasks = new Map<string, number>();
  #blocks = 0;

  constructor(
    program: Program,
    topology: Topology,
    expectations: readonly (Expectation | null)[],
    names: Names,
    style: Style,
  ) {
    this.#program = program;
    this.#topology = topology;
    this.#expectations = expectations;
    this.#names = names;
    this.#style = style;
    this.#values = new Values(names);
  }

  /** Statements of all calls. */
  lines(): string[] {
    const left = workLeft(this.#program.calls);
    const starts = this.#program.calls.filter(({ op }) => op === "start").length;
    const before = starts > 0 ? [`make_tasks(${starts});`, ""] : [];
    const calls = this.#program.calls.flatMap((call, index) => {
      const text = printCall(call, this.#topology).replaceAll("→", "->");
      const expectation = this.#expectations[index] ?? null;
      const lines = this.#lines(call, expectation);
      if (expectation?.failed) lines.push(...this.#style.injected());
      const wait = left.get(call);
      if (wait !== undefined) lines.push(`usleep(${wait / 1000}); /* others may have work left of it */`);
      return [...this.#style.begin(index, text), ...lines, ""];
    });
    return [...before, ...calls];
  }

  #lines(call: Call, expectation: Expectation | null): string[] {
    if (call.op === "ioctl") return this.#ioctl(call, expectation);
    if (call.op === "read" || call.op === "pread") return this.#read(call, expectation);
    if (call.op === "load") return this.#load(call, expectation);
    const lines = [`ret = ${this.#expression(call)};`, ...this.#made(call, expectation)];
    lines.push(...this.#style.result(expectation, isChosen(call, expectation)));
    if (expectation?.text !== undefined) lines.push(...this.#text(call, expectation.text));
    return lines;
  }

  /** Names in directories are those of the machine that the program was found on. */
  #text(call: Call, expected: string): string[] {
    const lines = this.#style.text(expected);
    const ofMachine = call.op === "probe" && (call.probe.kind === "group-members" || call.probe.kind === "mdevs");
    return ofMachine ? ["if (!moved) {", ...indent(lines), "}"] : lines;
  }

  #made(call: Call, expectation: Expectation | null): string[] {
    if (!("as" in call) || call.as === undefined) return [];
    if (expectation && expectation.ret >= 0) this.#values.hold(call.as, BigInt(expectation.ret));
    return ["if (ret >= 0)", `\t${this.#names.of(call.as)} = ret;`];
  }

  #read(call: Call & { op: "read" | "pread" }, expectation: Expectation | null): string[] {
    const index = this.#blocks++;
    const { count, place, into } = call;
    const at = isNowhere(place) ? placed(place, index, "", "") : cleared(place, index, count);
    const offset = call.op === "pread" ? [this.#values.plain(call.offset)] : [];
    const number = call.op === "pread" ? "SYS_pread64" : "SYS_read";
    const values = [this.#values.plain(call.fd), at, `${count}UL`, ...offset];
    const lines = [`ret = ${systemCall(call.failNth, number, values)};`];
    if (into !== undefined) lines.push(`${this.#names.of(into)} = BLOCK(${index});`);
    lines.push(...this.#style.result(expectation, isChosen(call, expectation)));
    const counts = expectation?.chosen?.some(({ at }) => at === "field") ?? false;
    const bytes = counts ? undefined : expectation?.bytes?.subarray(0, Math.max(0, expectation?.ret ?? 0));
    if (bytes && bytes.length > 0 && !isNowhere(place)) {
      lines.push(...this.#style.data(readableAt(place, index), byteArray(bytes), bytes.length));
    }
    return lines;
  }

  /** The process that makes a call, where that is not the program itself. */
  #by({ by }: Call): string | undefined {
    return by === undefined ? undefined : this.#names.of(by);
  }

  /** A call of a function, or of the one by which another process does the same. */
  #function(call: Call, name: string, values: readonly string[]): string {
    const by = this.#by(call);
    return by === undefined ? `${name}(${values.join(", ")})` : `${name}_by(${[by, ...values].join(", ")})`;
  }

  #load(call: Call & { op: "load" }, expectation: Expectation | null): string[] {
    const { at, offset, width } = call;
    const where = `${this.#values.plain(at)} + ${cNumber(offset, 4, true)}UL`;
    const lines = [`ret = ${this.#function(call, "load", [where, `${width}`])};`];
    lines.push(...this.#style.result(expectation, false));
    const { bytes } = expectation ?? {};
    if (bytes && bytes.length > 0)
      lines.push(...this.#style.data("(unsigned long)&loaded", byteArray(bytes), bytes.length));
    return lines;
  }

  /** Where what is to be written lies, put there first. */
  #content({ place, bytes = [], from, count }: WriteBuffer): string {
    if (from !== undefined) return this.#names.of(from);
    const index = this.#blocks++;
    const given = bytes.slice(0, count);
    if (isNowhere(place)) return placed(place, index, "", "");
    if (given.length === 0) return cleared(place, index, count);
    const rest = typeof place === "number" ? Array.from({ length: count - given.length }, () => 0) : [];
    return placed(place, index, byteArray([...given, ...rest]), String(given.length + rest.length));
  }

  #expression(call: Exclude<Call, { op: "ioctl" | "read" | "pread" | "load" }>): string {
    const value = (from: Value): string => this.#values.plain(from);
    const { failNth } = call;
    if (failNth !== undefined && !mayRunOut(call)) throw new Error(`${call.op} can't run out of memory`);
    switch (call.op) {
      case "open": {
        const node = this.#nodePath(call.node);
        const flags = openFlags(call.flags ?? 2);
        return functionCall(failNth, `do_open(${node}, ${flags})`, "SYS_openat", ["AT_FDCWD", `(long)${node}`, flags]);
      }
      case "eventfd":
        return functionCall(failNth, "result(eventfd(0, EFD_NONBLOCK))", "SYS_eventfd2", ["0", "EFD_NONBLOCK"]);
      case "memfd":
        return `${call.sealed ? "new_sealed_memfd" : "new_memfd"}(${call.size}L)`;
      case "close":
        return functionCall(failNth, `result(close(${value(call.fd)}))`, "SYS_close", [value(call.fd)]);
      case "dup":
        return functionCall(failNth, `result(dup(${value(call.fd)}))`, "SYS_dup", [value(call.fd)]);
      case "write":
        return systemCall(failNth, "SYS_write", [value(call.fd), this.#content(call), `${call.count}UL`]);
      case "pwrite": {
        const what = [this.#content(call), `${call.count}UL`];
        return systemCall(failNth, "SYS_pwrite64", [value(call.fd), ...what, value(call.offset)]);
      }
      case "lseek":
        return systemCall(failNth, "SYS_lseek", [value(call.fd), `${call.offset}L`, `${call.whence}`]);
      case "poll":
        return `poll_now(${value(call.fd)})`;
      case "mmap": {
        const how = [`${call.length}UL`, `${call.prot}`, call.private ? "MAP_PRIVATE" : "MAP_SHARED"];
        return systemCall(failNth, "SYS_mmap", ["0UL", ...how, value(call.fd), value(call.offset)]);
      }
      case "munmap":
        return systemCall(failNth, "SYS_munmap", [value(call.at), `${call.length}UL`]);
      case "store": {
        const where = `${value(call.at)} + ${cNumber(call.offset, 4, true)}UL`;
        return this.#function(call, "store", [where, `${call.width}`, `${cNumber(call.value, 8, true)}UL`]);
      }
      case "sysfs-write": {
        const what = this.#written(call);
        const path = this.#attributePath(call.attribute);
        return failNth === undefined
          ? `write_file(${path}, ${what})`
          : `write_file_failing(${failNth}, ${path}, ${what})`;
      }
      case "start": {
        const what = this.#written(call);
        const task = this.#tasks.size;
        this.#tasks.set(call.as, task);
        return `start_write(&tasks[${task}], ${this.#attributePath(call.attribute)}, ${what})`;
      }
      case "join":
        return `join(&tasks[${this.#tasks.get(call.task) ?? 0}])`;
      case "fork":
        return "fork_process()";
      case "exit":
        return `exit_process(${this.#names.of(call.process)})`;
      case "sysfs-read": {
        const path = this.#attributePath(call.attribute);
        return failNth === undefined ? `read_file(${path})` : `read_file_failing(${failNth}, ${path})`;
      }
      case "probe":
        if (call.probe.kind === "pinned") return this.#function(call, "status_kib", ['"VmPin"']);
        if (call.probe.kind === "locked") return this.#function(call, "status_kib", ['"VmLck"']);
        return this.#probe(call.probe);
      case "capset":
        return `set_capabilities(${capabilityBits(call.without)})`;
      case "prlimit":
        return `set_limit(${call.resource}, ${cNumber(call.soft, 8, false)}, ${cNumber(call.hard, 8, false)})`;
    }
  }

  #ioctl(call: Call & { op: "ioctl" }, expectation: Expectation | null): string[] {
    const index = this.#blocks++;
    const fd = this.#values.plain(call.fd);
    const { arg } = call;
    if (arg.kind === "struct") {
      const writer = new StructWriter(call, index, this.#values, this.#names, this.#style);
      const lines = writer.lines(fd, expectation);
      this.#blocks += writer.nested;
      return lines;
    }
    const argument = arg.kind === "value" ? this.#values.plain(arg.value, call.request) : this.#name(arg, index);
    return [
      `ret = ${ioctlExpression(call, this.#by(call), fd, argument)};`,
      ...this.#made(call, expectation),
      ...this.#style.result(expectation, isChosen(call, expectation)),
    ];
  }

  #name({ device, text = "", place }: IoctlArgument & { kind: "name" }, index: number): string {
    const name = device === undefined ? cString(text) : this.#nameOf(device, text);
    return placed(place, index, name, `strlen(${name}) + 1`);
  }

  #nameOf(device: string, text: string): string {
    const address = this.#address(device);
    return text === "" ? address : `path_of("%s%s", ${address}, ${cString(text)})`;
  }

  #device(name: string): string {
    return deviceVariable(name, this.#names);
  }

  #address(name: string): string {
    return `${this.#device(name)}.address`;
  }

  #nodePath(node: Node): string {
    switch (node.kind) {
      case "container":
        return '"/dev/vfio/vfio"';
      case "iommufd":
        return '"/dev/iommu"';
      case "kvm":
        return '"/dev/kvm"';
      case "group":
        return `group_node(&${this.#device(node.device)})`;
      case "cdev":
        return `cdev_node(&${this.#device(node.device)})`;
      case "wq":
        return cString(queuePath(node.queue));
    }
  }

  #devicePath(name: string, rest: string): string {
    return `path_of("/sys/bus/%s/devices/%s/${rest}", ${this.#device(name)}.bus, ${this.#address(name)})`;
  }

  /** What a call writes to an attribute. */
  #written({ text }: Call & { op: "sysfs-write" | "start" }): string {
    return "device" in text ? this.#address(text.device) : cString(text.text);
  }

  #attributePath(attribute: Attribute): string {
    switch (attribute.kind) {
      case "driver_override":
        return this.#devicePath(attribute.device, "driver_override");
      case "sriov":
      case "pci-device":
        return this.#devicePath(attribute.device, attribute.file);
      case "pci-bridge":
        return cString(pathOfAttribute(this.#topology, attribute));
      case "mdev-remove":
        return this.#devicePath(attribute.device, "remove");
      case "mdev-vendor":
        return this.#devicePath(attribute.device, `vendor/${attribute.file}`);
      default:
        return cString(fixedPath(attribute));
    }
  }

  #probe(probe: Exclude<Probe, { kind: "pinned" | "locked" }>): string {
    switch (probe.kind) {
      case "driver":
        return `text_of_link(${this.#devicePath(probe.device, "driver")})`;
      case "group-node":
        return `result(access(group_node(&${this.#device(probe.device)}), F_OK))`;
      case "cdev-node":
        return `result(access(cdev_node(&${this.#device(probe.device)}), F_OK))`;
      case "asleep":
        return `asleep(${this.#devicePath(probe.device, "power/runtime_status")})`;
      case "auxiliaries":
        return `list(${cString(AUXILIARY_DEVICES)})`;
      case "aux-driver":
        return `text_of_link(${cString(`${AUXILIARY_DEVICES}/${probe.name}/driver`)})`;
      case "mdevs":
        return 'list("/sys/bus/mdev/devices")';
      case "mdev-type":
        return `text_of_link(${this.#devicePath(probe.device, "mdev_type")})`;
      case "type-devices":
        return `list(${cString(`${typePath(probe)}/devices`)})`;
      case "group-members":
        return `list(${this.#devicePath(probe.device, "iommu_group/devices")})`;
      case "vms":
        return "count_vms()";
      case "tainted":
        return "tainted_by_user()";
    }
  }
}

function capabilityBits(of: readonly Capability[]): string {
  return of.length === 0 ? "0" : of.map((name) => `1U << ${CAPABILITIES[name]} /* ${name} */`).join(" | ");
}

/** A block of zeros as the kernel is given it. What ends in front of the hole lies where others did before. */
function cleared(place: number | "readonly" | undefined, index: number, count: number): string {
  if (place === "readonly") return `BLOCK(${index}) - SCRATCH + SCRATCH_READONLY`;
  if (place === undefined || count === 0) return readableAt(place, index);
  return placed(place, index, byteArray(new Uint8Array(count)), String(count));
}

function byteArray(bytes: Iterable<number>): string {
  return `(uint8_t[]){ ${Array.from(bytes, (byte) => `0x${byte.toString(16)}`).join(", ")} }`;
}

/** Handles that a program makes, as C variables; those that `body` does not have are left out: a struct that can't be read brings none. */
export function handleVariables({ calls }: Program, names: Names, body: string): string[] {
  const code = body.replace(/\/\*[\s\S]*?\*\/|"(?:[^"\\]|\\.)*"/g, "");
  const words = new Set(code.match(/[A-Za-z_]\w*/g));
  const handles = new Set(calls.flatMap((call) => [...madeBy(call)]));
  return [...handles].flatMap((handle) => {
    const name = names.of(handle);
    return words.has(name) ? [`static long ${name} = -1;`] : [];
  });
}
