/**
 * What a run has shown so far of its files: which open file each descriptor names, what it was opened from, whether it was
 * bound; and of the drivers of functions. Followed once for all invariants over history.
 *
 * By number, because a handle that was closed still names one, which another file may have got since.
 */
import type { Call, Node, Value } from "../../model/program.ts";
import type { Topology } from "../../model/topology.ts";
import { type DeviceInfo, ENOTTY, infoOf, isSet, probed, type RegionInfo, regionOf } from "./told.ts";

/** What a device has told of itself through one file. */
export interface Told {
  info?: DeviceInfo;
  readonly regions: Map<number, RegionInfo>;
  /** Features that were asked for by a probe, and whether there were such. */
  readonly features: Map<number, boolean>;
}

/** An open file as far as the calls tell. */
export interface SeenFile {
  /** The node that it was opened from, or null for one that another call gave. */
  readonly node: Node["kind"] | null;
  /** Whether BIND has succeeded on it. Undefined where that can't be told. */
  bound: boolean | undefined;
  /** What an open function has told of itself; null for files that are none, and for mediated devices, which go their own ways. */
  readonly told: Told | null;
}

export class Seen {
  /** Names of virtual functions, by their physical one. */
  readonly #virtual = new Map<string, readonly string[]>();
  /** Names of the machine's PCI functions. */
  readonly #functions: ReadonlySet<string>;
  readonly #number = new Map<Value, number>();
  readonly #files: (SeenFile | undefined)[] = [];
  readonly #drivers = new Map<string, string | null>();
  readonly #overrides = new Map<string, string | null>();
  readonly #gotIds = new Set<string>();
  /** The device that was reset last, as long as none was put into a migration state since. */
  reset: SeenFile | null = null;

  constructor(topology?: Topology) {
    this.#functions = new Set(topology?.functions.map(({ name }) => name));
    for (const { name, physicalFunction } of topology?.functions ?? []) {
      if (physicalFunction === null) continue;
      this.#virtual.set(physicalFunction, [...(this.#virtual.get(physicalFunction) ?? []), name]);
    }
  }

  /** The open file, or undefined where there is none, or one that came back in a struct. */
  file(descriptor: Value): SeenFile | undefined {
    const fd = this.#fd(descriptor);
    return fd === undefined ? undefined : this.#files[fd];
  }

  /** The driver that a function was bound to by name, null since it was unbound; undefined where that can't be told. */
  driver(device: string): string | null | undefined {
    return this.#drivers.get(device);
  }

  /** What a function's override was set to, null since it was cleared; undefined where no call has said. */
  override(device: string): string | null | undefined {
    return this.#overrides.get(device);
  }

  /** Whether an id was added to a driver. */
  gotId(driver: string): boolean {
    return this.#gotIds.has(driver);
  }

  /** Notes a call that came back. */
  note(call: Call, ret: number, struct: Uint8Array | undefined): void {
    if (call.op === "ioctl") this.#told(call, ret, struct);
    if (ret < 0) return;
    switch (call.op) {
      case "open":
        this.#opened(call.as, ret, call.node.kind, call.node.kind === "cdev" ? call.node.device : undefined);
        break;
      case "eventfd":
      case "memfd":
        this.#opened(call.as, ret, null);
        break;
      case "dup": {
        const file = this.file(call.fd);
        this.#number.set(call.as, ret);
        this.#files[ret] = file;
        break;
      }
      case "close": {
        const fd = this.#fd(call.fd);
        if (fd !== undefined) this.#files[fd] = undefined;
        // By a number that came back in a struct: another file may have got that since, so nothing is known any more.
        else this.#files.length = 0;
        break;
      }
      case "ioctl":
        if (ret === 0 && call.request === "VFIO_DEVICE_BIND_IOMMUFD") this.#bound(call.fd);
        if (call.as !== undefined) {
          this.#opened(call.as, ret, null, call.arg.kind === "name" ? call.arg.device : undefined);
        }
        break;
      case "sysfs-write":
        if (ret > 0) this.#wrote(call);
        break;
      case "start":
        // What it has come to by which call nobody tells.
        if ("device" in call.text) this.#forget(call.text.device);
        if ("device" in call.attribute) this.#forget(call.attribute.device);
        break;
    }
  }

  #forget(device: string): void {
    this.#overrides.delete(device);
    this.#drivers.delete(device);
  }

  #wrote({ attribute, text }: Call & { op: "sysfs-write" }): void {
    switch (attribute.kind) {
      case "driver_override":
        if ("text" in text) this.#overrides.set(attribute.device, text.text.split(/[\n\0]/, 1)[0] || null);
        break;
      case "bind":
      case "unbind":
        if ("device" in text) this.#drivers.set(text.device, attribute.kind === "bind" ? attribute.driver : null);
        break;
      case "sriov":
        // They were made, or are gone: whatever they were given is theirs no more.
        for (const device of this.#virtual.get(attribute.device) ?? []) {
          this.#forget(device);
        }
        break;
      case "pci-device":
        if (attribute.file === "remove") this.#forget(attribute.device);
        break;
      case "new_id":
        this.#gotIds.add(attribute.driver);
        // Whatever had no driver may have one now.
        for (const [device, driver] of this.#drivers) if (driver === null) this.#drivers.delete(device);
        break;
      case "pci-bus":
        for (const [device, driver] of this.#drivers) if (driver === null) this.#drivers.delete(device);
        break;
    }
  }

  #opened(handle: string, fd: number, node: SeenFile["node"], device?: string): void {
    this.#number.set(handle, fd);
    const isFunction = device !== undefined && this.#functions.has(device);
    this.#files[fd] = { node, bound: false, told: isFunction ? { regions: new Map(), features: new Map() } : null };
  }

  /** What devices tell of themselves, and what changes that. */
  #told(call: Call & { op: "ioctl" }, ret: number, struct: Uint8Array | undefined): void {
    if (call.request === "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE" && isSet(call)) this.reset = null;
    if (call.request === "VFIO_DEVICE_RESET" && ret === 0) this.reset = this.file(call.fd) ?? null;
    const told = this.file(call.fd)?.told;
    if (!told) return;
    const feature = probed(call);
    if (feature !== null && (ret === 0 || ret === -ENOTTY)) told.features.set(feature, ret === 0);
    if (ret !== 0 || !struct) return;
    const info = call.request === "VFIO_DEVICE_GET_INFO" ? infoOf(struct) : undefined;
    if (info) told.info = info;
    const region = call.request === "VFIO_DEVICE_GET_REGION_INFO" ? regionOf(struct) : undefined;
    if (region) told.regions.set(region.index, region);
  }

  #bound(descriptor: Value): void {
    const file = this.file(descriptor);
    if (file) file.bound = true;
    // Through a number that came back in a struct: whose file that is can't be told, so none is told about.
    else for (const other of this.#files) if (other) other.bound = undefined;
  }

  #fd(descriptor: Value): number | undefined {
    return typeof descriptor === "number" ? descriptor : this.#number.get(descriptor);
  }
}
