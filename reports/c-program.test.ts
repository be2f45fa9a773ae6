import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PROFILES } from "../model/profile.ts";
import type { Call, Program } from "../model/program.ts";
import { REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { PROPERTIES } from "../properties/all.ts";
import { topologyFor } from "../properties/property.ts";
import { sampleChunk } from "../properties/sample.ts";
import { Watch } from "../properties/watch.ts";
import { modelExpectations } from "./c/expectations.ts";
import { type Expectation, toC, toKselftest } from "./c-program.ts";
import { SMALL_PROGRAM } from "./small-results.ts";

const profile = PROFILES["7.2"] ?? { version: "7.2", kconfig: new Set<string>() };
const options = { topology: REFERENCE_TOPOLOGY, profile };
const about = { what: "It shows */ something.", rule: "VFIO-CDEV-BIND-4: so it is" };
const program = (...calls: Call[]): Program => ({ machine: "reference", calls });
const sourceOf = (given: Program, expected?: readonly (Expectation | null)[]): string =>
  toC(given, REFERENCE_TOPOLOGY, expected ?? modelExpectations(given, options), about);

const hasCompiler = spawnSync("cc", ["--version"]).status === 0;

/** A struct behind a pointer, one that is cut short, one that is read-only, lists, tails, names, and odd handles. */
const EVERY_SHAPE = program(
  ...SMALL_PROGRAM.calls,
  {
    op: "ioctl",
    fd: "@device1",
    request: "VFIO_DEVICE_BIND_IOMMUFD",
    arg: {
      kind: "struct",
      struct: {
        fields: { argsz: 32, flags: 1, token_uuid_ptr: { fields: { low: 1 }, place: "readonly" } },
        tail: [0, 1],
      },
    },
  },
  {
    op: "ioctl",
    fd: 5,
    request: "IOMMU_IOAS_ALLOC",
    arg: { kind: "struct", struct: { fields: { size: 12 }, place: 7 } },
  },
  {
    op: "ioctl",
    fd: "@device1",
    request: "VFIO_DEVICE_PCI_HOT_RESET",
    arg: { kind: "struct", struct: { fields: { argsz: 20, count: 2, group_fds: ["@device1", -1] } } },
  },
  {
    op: "ioctl",
    fd: "@device1",
    request: "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO",
    arg: { kind: "struct", struct: { fields: { argsz: 28, devices: [0, 0] }, place: "readonly" } },
  },
  {
    op: "ioctl",
    fd: -1,
    request: "VFIO_GROUP_GET_DEVICE_FD",
    arg: { kind: "name", device: "nic0.0", place: 3 },
    as: "@ret",
  },
  { op: "ioctl", fd: "@ret", request: "VFIO_SET_IOMMU", arg: { kind: "value", value: 3 } },
  {
    op: "ioctl",
    fd: "@ret",
    request: "VFIO_GROUP_GET_STATUS",
    arg: { kind: "struct", struct: { fields: {}, place: "null" } },
  },
  { op: "mmap", fd: "@ret", length: 4096, prot: 1, offset: 0 },
  { op: "mmap", fd: "@device1", length: 4096, prot: 3, offset: 0, private: true },
  { op: "mmap", fd: "@device1", length: 4096, prot: 3, offset: 0, as: "@mapping" },
  { op: "load", at: "@mapping", offset: 4, width: 4 },
  { op: "store", at: "@mapping", offset: 0x80, width: 8, value: (1n << 64n) - 1n },
  { op: "load", at: 0x1400_0000_0000, offset: 4, width: 1 },
  { op: "munmap", at: "@mapping", length: 4096 },
  { op: "memfd", size: 4096, as: "@memfd" },
  { op: "memfd", size: 4096, sealed: true, as: "@sealed" },
  { op: "poll", fd: "@ret" },
  { op: "lseek", fd: "@ret", offset: -1, whence: 2 },
  { op: "pread", fd: "@ret", count: 4, offset: 1n << 40n, place: "readonly" },
  { op: "sysfs-write", attribute: { kind: "driver_override", device: "nic0.0" }, text: { text: 'a\n"??/\u0001ü' } },
  { op: "sysfs-write", attribute: { kind: "new_id", driver: "pci-stub" }, text: { text: "8086 10d3" } },
  { op: "sysfs-write", attribute: { kind: "pci-bus", file: "drivers_probe" }, text: { device: "nic0.0" } },
  { op: "sysfs-write", attribute: { kind: "pci-bus", file: "drivers_autoprobe" }, text: { text: "0" } },
  { op: "sysfs-write", attribute: { kind: "mdev-create", parent: "mtty", type: "mtty-1" }, text: { device: "mdev0" } },
  { op: "sysfs-read", attribute: { kind: "available_instances", parent: "mtty", type: "mtty-1" } },
  { op: "probe", probe: { kind: "group-members", device: "nic0.0" } },
  { op: "probe", probe: { kind: "vms" } },
  { op: "probe", probe: { kind: "pinned" } },
  { op: "probe", probe: { kind: "locked" } },
  { op: "probe", probe: { kind: "tainted" } },
  { op: "probe", probe: { kind: "asleep", device: "nic0.0" } },
  { op: "capset", without: ["CAP_IPC_LOCK", "CAP_SYS_RESOURCE"] },
  { op: "capset", without: [] },
  { op: "prlimit", resource: "RLIMIT_MEMLOCK", soft: 4096, hard: (1n << 64n) - 1n },
  { op: "open", node: { kind: "iommufd" }, as: "@short", failNth: 1 },
  { op: "eventfd", as: "@event", failNth: 1 },
  { op: "dup", fd: "@event", as: "@again", failNth: 1 },
  { op: "read", fd: "@event", count: 8, failNth: 2 },
  { op: "pread", fd: "@event", count: 8, offset: 0, failNth: 2 },
  { op: "write", fd: "@event", count: 8, bytes: [1], failNth: 1 },
  { op: "pwrite", fd: "@event", count: 8, offset: 8, failNth: 1 },
  { op: "mmap", fd: "@event", length: 4096, prot: 1, offset: 0, failNth: 1 },
  { op: "close", fd: "@again", failNth: 1 },
  {
    op: "ioctl",
    fd: "@short",
    request: "IOMMU_IOAS_ALLOC",
    arg: { kind: "struct", struct: { fields: { size: 12 } } },
    failNth: 1,
  },
  {
    op: "ioctl",
    fd: "@short",
    request: "VFIO_SET_IOMMU",
    arg: { kind: "value", value: 3 },
    failNth: 4,
  },
  {
    op: "sysfs-write",
    attribute: { kind: "mdev-create", parent: "mtty", type: "mtty-1" },
    text: { device: "mdev0" },
    failNth: 3,
  },
  { op: "sysfs-read", attribute: { kind: "driver_override", device: "nic0.0" }, failNth: 1 },
);

describe("a C program", () => {
  const source = sourceOf(SMALL_PROGRAM);

  it("fills structs by field names, and takes handles from what calls brought", () => {
    expect(source).toContain("#define VFIO_DEVICE_BIND_IOMMUFD\t_IO(';', 118)");
    expect(source).toContain(".iommufd = iommufd0,");
    expect(source).toContain("devid2 = arg.out_devid;");
    expect(source).toContain("expected.out_devid = arg.out_devid; /* the kernel's choice */");
    expect(source).toContain(".flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,");
    expect(source).toContain(".iova = 0xffffffffffffffffULL,");
    expect(source).toContain("expect_result(ret, -EOVERFLOW);");
  });

  it("names the devices that a group ties together, and what else must be there", () => {
    expect(source).toContain('static struct device dev_nic0_1 = { "nic0.1", "pci", "0000:01:00.1" };');
    expect(source).toContain("missing = missing_function(&dev_nic0_1);");
    expect(source).toContain('missing_path("/dev/iommu", "CONFIG_IOMMUFD")');
  });

  it("makes the mediated devices that every program finds made", () => {
    const source = sourceOf(program({ op: "probe", probe: { kind: "mdevs" } }));
    expect(source).toContain(
      'standing_mdev(&dev_mtty0, "/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create")',
    );
    expect(source).toContain("remove_mdev(&dev_mtty0);");
  });

  it("compares an id with what its handle holds", () => {
    const ioas = program(
      { op: "open", node: { kind: "iommufd" }, as: "@iommufd0" },
      {
        op: "ioctl",
        fd: "@iommufd0",
        request: "IOMMU_IOAS_ALLOC",
        arg: { kind: "struct", struct: { fields: { size: 12 } } },
        binds: { out_ioas_id: "@ioas1" },
      },
      {
        op: "ioctl",
        fd: "@iommufd0",
        request: "IOMMU_VFIO_IOAS",
        arg: { kind: "struct", struct: { fields: { size: 12, ioas_id: "@ioas1", op: 1 } } },
      },
      {
        op: "ioctl",
        fd: "@iommufd0",
        request: "IOMMU_VFIO_IOAS",
        arg: { kind: "struct", struct: { fields: { size: 12, op: 0 } } },
      },
    );
    expect(sourceOf(ioas)).toContain("expected.ioas_id = ioas1;");
  });

  it("is a case of the selftest harness as well", () => {
    const expected = modelExpectations(SMALL_PROGRAM, options);
    const kselftest = toKselftest(SMALL_PROGRAM, REFERENCE_TOPOLOGY, expected, { ...about, name: "bind-0a1b" });
    expect(kselftest).toContain("TEST_F_TIMEOUT(vfio_conformance, bind_0a1b, 20)");
    expect(kselftest).toContain("EXPECT_EQ(-EOVERFLOW, ret);");
    expect(kselftest).toContain("EXPECT_EQ(expected.iommufd, arg.iommufd);");
  });
});

describe.skipIf(!hasCompiler)("what the compiler makes of it", () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(path.join(tmpdir(), "c-program-"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const compile = (source: string, ...flags: string[]): string => {
    const binary = path.join(directory, "reproduce");
    writeFileSync(`${binary}.c`, source);
    execFileSync("cc", ["-Wall", "-Wextra", "-Werror", ...flags, "-o", binary, `${binary}.c`]);
    return binary;
  };

  it("has no complaint about any shape of call", () => {
    expect(() => compile(sourceOf(EVERY_SHAPE), "-O2")).not.toThrow();
    expect(() =>
      compile(
        sourceOf(
          EVERY_SHAPE,
          EVERY_SHAPE.calls.map(() => null),
        ),
      ),
    ).not.toThrow();
    expect(() => compile(sourceOf(program()))).not.toThrow();
  });

  it("has no complaint about generated programs", () => {
    for (const property of PROPERTIES) {
      const topology = topologyFor(property, options.profile);
      const [sample] = sampleChunk(property, { ...options, topology }, 11, () => new Watch([], []), 1);
      if (sample) expect(() => compile(sourceOf(sample.program), "-fsyntax-only")).not.toThrow();
    }
  });

  const isRoot = process.getuid?.() === 0;
  const plain = program(
    { op: "eventfd", as: "@eventfd0" },
    { op: "close", fd: "@eventfd0" },
    { op: "close", fd: "@eventfd0" },
  );

  it.runIf(isRoot)("ends with 0 where every call does what is right", () => {
    const { status, stdout } = spawnSync(compile(sourceOf(plain)), { encoding: "utf8" });
    expect(stdout).toContain("  2  close(eventfd0)\n     expected -1 EBADF, observed -1 EBADF\n");
    expect(stdout).toContain("The difference is not there");
    expect(status).toBe(0);
  });

  it.runIf(isRoot)("ends with 1 where one does not", () => {
    const expected = [{ ret: 3 }, { ret: -22 }, { ret: -9 }];
    const { status, stdout } = spawnSync(compile(sourceOf(plain, expected)), { encoding: "utf8" });
    expect(stdout).toContain("expected -1 EINVAL, observed 0   <-- DIFFERS");
    expect(status).toBe(1);
  });

  it("ends with 3 where a device is missing, and says which", () => {
    const nowhere = ["nic0.0=ffff:00:00.0", "nic0.1=ffff:00:00.1"];
    const { status, stderr } = spawnSync(compile(sourceOf(SMALL_PROGRAM)), nowhere, { encoding: "utf8" });
    expect(stderr).toMatch(isRoot ? /there is no PCI function ffff:00:00\.0/ : /must be run as root/);
    expect(status).toBe(3);
    expect(spawnSync(compile(sourceOf(SMALL_PROGRAM)), ["nic9=1"]).status).toBe(3);
  });
});
