/** The shape of a program in JSON. Objects are strict: a key that this suite does not know is refused, never skipped. */
import { z } from "zod";
import { BLOCK_SIZE } from "../kernel/memory-map.ts";
import type { Call, FieldValue, StructArgument, Value } from "../program.ts";
import { wideNumber } from "./wide.ts";

const HANDLE = /^@[A-Za-z][A-Za-z0-9_-]*$/;
/** Text that is written to an attribute fits a page with its end. */
const LONGEST_TEXT = 4095;
/** An unsigned int in the kernel; far more allocations than a call makes. */
const MAX_FAIL_NTH = 0x7fff_ffff;

const handle = z.string().regex(HANDLE, { error: 'expected a handle such as "@group0"', abort: true });

const value: z.ZodType<Value> = z.union([z.int(), handle, wideNumber], {
  error: 'expected a whole number, a wide one such as "0x1000", or a handle such as "@ioas0"',
});

const place = z.union([z.enum(["null", "unmapped", "readonly"]), z.int().min(0).max(BLOCK_SIZE)], {
  error: `expected "null", "unmapped", "readonly", or a number of bytes up to ${BLOCK_SIZE}`,
});

const byte = z.int().min(0).max(255);

const struct: z.ZodType<StructArgument> = z.lazy(() =>
  z.strictObject({
    fields: z.record(z.string(), fieldValue),
    place: z.exactOptional(place),
    tail: z.exactOptional(z.array(byte).max(BLOCK_SIZE)),
  }),
);

const fieldValue: z.ZodType<FieldValue> = z.lazy(() => z.union([value, struct, z.array(value)]));

const ioctlArgument = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("struct"), struct }),
  z.strictObject({ kind: z.literal("value"), value }),
  z.strictObject({
    kind: z.literal("name"),
    device: z.exactOptional(z.string()),
    text: z.exactOptional(z.string().max(2 * 4096)),
    place: z.exactOptional(place),
  }),
]);

const device = z.string().min(1);
const ofDevice = <K extends string>(kind: K) => z.strictObject({ kind: z.literal(kind), device });
const alone = <K extends string>(kind: K) => z.strictObject({ kind: z.literal(kind) });
/** A name that becomes part of a path. */
const pathPart = z.string().regex(/^[^/\0]+$/, { error: "expected a name without a slash" });

const node = z.discriminatedUnion("kind", [
  alone("container"),
  alone("iommufd"),
  alone("kvm"),
  ofDevice("group"),
  ofDevice("cdev"),
  z.strictObject({ kind: z.literal("wq"), queue: pathPart }),
]);

const ofType = <K extends string>(kind: K) =>
  z.strictObject({ kind: z.literal(kind), parent: pathPart, type: pathPart });
const ofDriver = <K extends string>(kind: K) => z.strictObject({ kind: z.literal(kind), driver: pathPart });

const attribute = z.discriminatedUnion("kind", [
  ofDevice("driver_override"),
  ofDevice("sriov").extend({ file: z.enum(["sriov_numvfs", "sriov_totalvfs"]) }),
  ofDriver("bind"),
  ofDriver("unbind"),
  ofDriver("new_id"),
  ofDriver("remove_id"),
  alone("pci-bus").extend({ file: z.enum(["drivers_probe", "drivers_autoprobe", "rescan"]) }),
  ofDevice("pci-device").extend({ file: z.enum(["remove", "rescan"]) }),
  ofDevice("pci-bridge").extend({ file: z.literal("rescan") }),
  ofDriver("aux-driver").extend({ file: z.enum(["bind", "unbind"]) }),
  ofType("mdev-create"),
  ofDevice("mdev-remove"),
  ofDevice("mdev-vendor").extend({ file: z.enum(["sample_mdev_dev", "resolution"]) }),
  ofType("available_instances"),
  ofType("mdev-type").extend({ file: z.enum(["name", "description", "device_api"]) }),
  ofDriver("mdev-driver").extend({ file: z.enum(["bind", "unbind"]) }),
  alone("mdev-bus").extend({ file: z.enum(["drivers_probe", "drivers_autoprobe"]) }),
  z.strictObject({
    kind: z.literal("wq"),
    queue: pathPart,
    file: z.enum(["type", "mode", "threshold", "block_on_fault", "state"]),
  }),
  ofDriver("wq-driver").extend({ file: z.enum(["bind", "unbind"]) }),
]);

const text = z.union([z.strictObject({ device }), z.strictObject({ text: z.string().max(LONGEST_TEXT) })], {
  error: 'expected { "device": … } or { "text": … }',
});

const probe = z.discriminatedUnion("kind", [
  ofDevice("driver"),
  ofDevice("group-node"),
  ofDevice("cdev-node"),
  ofDevice("asleep"),
  alone("auxiliaries"),
  z.strictObject({ kind: z.literal("aux-driver"), name: pathPart }),
  alone("mdevs"),
  ofDevice("mdev-type"),
  ofType("type-devices"),
  ofDevice("group-members"),
  alone("vms"),
  alone("pinned"),
  alone("locked"),
  alone("tainted"),
]);

const capability = z.enum(["CAP_IPC_LOCK", "CAP_SYS_RAWIO", "CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"]);
const limit = z.union([z.int().min(0), wideNumber.refine((bytes) => bytes >= 0n && bytes < 1n << 64n)], {
  error: 'expected a number of bytes, or a wide one such as "0xffffffffffffffff"',
});

const width = z.union([z.literal(1), z.literal(2), z.literal(4), z.literal(8)]);
const stored = z.union([z.int(), wideNumber]);
const count = z.int().min(0).max(BLOCK_SIZE);
const readBuffer = { count, place: z.exactOptional(place), into: z.exactOptional(handle) };
const writeBuffer = {
  count,
  place: z.exactOptional(place),
  bytes: z.exactOptional(z.array(byte).max(BLOCK_SIZE)),
  from: z.exactOptional(handle),
};

/** A call that may have to cope with a failed allocation: those of mayRunOut. */
const made = <S extends z.core.$ZodLooseShape>(shape: S) =>
  z.strictObject({ ...shape, failNth: z.exactOptional(z.int().min(1).max(MAX_FAIL_NTH)) });

/** A call that another process may make: those of mayBeBy. */
const byOne = { by: z.exactOptional(handle) };

export const callSchema: z.ZodType<Call> = z.discriminatedUnion("op", [
  made({ op: z.literal("open"), node, flags: z.exactOptional(z.int()), as: handle }),
  made({ op: z.literal("eventfd"), as: handle }),
  z.strictObject({
    op: z.literal("memfd"),
    size: z.int().min(0),
    sealed: z.exactOptional(z.literal(true)),
    as: handle,
  }),
  made({ op: z.literal("close"), fd: value }),
  made({ op: z.literal("dup"), fd: value, as: handle }),
  made({
    op: z.literal("ioctl"),
    fd: value,
    request: z.string(),
    arg: ioctlArgument,
    as: z.exactOptional(handle),
    binds: z.exactOptional(z.record(z.string(), handle)),
    ...byOne,
  }),
  made({ op: z.literal("read"), fd: value, ...readBuffer }),
  made({ op: z.literal("write"), fd: value, ...writeBuffer }),
  made({ op: z.literal("pread"), fd: value, offset: value, ...readBuffer }),
  made({ op: z.literal("pwrite"), fd: value, offset: value, ...writeBuffer }),
  z.strictObject({ op: z.literal("poll"), fd: value }),
  z.strictObject({ op: z.literal("lseek"), fd: value, offset: z.int(), whence: z.int().min(0) }),
  made({
    op: z.literal("mmap"),
    fd: value,
    length: z.int().min(0),
    prot: z.int(),
    offset: value,
    private: z.exactOptional(z.literal(true)),
    as: z.exactOptional(handle),
  }),
  z.strictObject({ op: z.literal("munmap"), at: value, length: z.int().min(0) }),
  z.strictObject({ op: z.literal("load"), at: value, offset: z.int().min(0), width, ...byOne }),
  z.strictObject({ op: z.literal("store"), at: value, offset: z.int().min(0), width, value: stored, ...byOne }),
  made({ op: z.literal("sysfs-write"), attribute, text }),
  z.strictObject({ op: z.literal("start"), attribute, text, as: handle }),
  z.strictObject({ op: z.literal("join"), task: handle }),
  z.strictObject({ op: z.literal("fork"), as: handle }),
  z.strictObject({ op: z.literal("exit"), process: handle }),
  made({ op: z.literal("sysfs-read"), attribute }),
  z.strictObject({ op: z.literal("probe"), probe, ...byOne }),
  z.strictObject({ op: z.literal("capset"), without: z.array(capability) }),
  z.strictObject({ op: z.literal("prlimit"), resource: z.literal("RLIMIT_MEMLOCK"), soft: limit, hard: limit }),
]);

/** A program without the lines that say what kind of file it is in. */
export const programBody = z.strictObject({ machine: z.string().min(1), calls: z.array(callSchema) });
