import { describe, expect, it } from "vitest";
import { MEMORY } from "../kernel/memory-map.ts";
import type { Call, StructArgument } from "../program.ts";
import { REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import { printCall, printOutcome } from "./print.ts";

const bind = (struct: StructArgument): Call => ({
  op: "ioctl",
  fd: "@device3",
  request: "VFIO_DEVICE_BIND_IOMMUFD",
  arg: { kind: "struct", struct },
  binds: { out_devid: "@devid5" },
});

const status: Call = {
  op: "ioctl",
  fd: "@group0",
  request: "VFIO_GROUP_GET_STATUS",
  arg: { kind: "struct", struct: { fields: { argsz: 8 } } },
};

describe("an access of memory reads as C has it", () => {
  const load: Call = { op: "load", at: "@mapping0", offset: 0x60, width: 4 };
  const store: Call = { op: "store", at: "@mapping0", offset: 8, width: 8, value: 1n << 40n };

  it("with what was loaded behind it, or the signal", () => {
    expect(printCall(load)).toBe("*(uint32_t *)(mapping0 + 0x60)");
    expect(printOutcome(load, { ret: 0, bytes: Uint8Array.of(0xed, 0, 0, 1) })).toBe("0x010000ed");
    expect(printOutcome(load, { ret: -1007 })).toBe("SIGBUS");
    expect(printCall(store)).toBe("*(uint64_t *)(mapping0 + 0x8) = 0x10000000000");
    expect(printOutcome(store, { ret: 0 })).toBe("done");
    expect(printOutcome(store, { ret: -1011 })).toBe("SIGSEGV");
  });
});

describe("a call reads as strace has it", () => {
  it("open, dup, close", () => {
    expect(printCall({ op: "open", node: { kind: "group", device: "nic0.0" }, as: "@group0" })).toBe(
      'group0 = open("/dev/vfio/<group of nic0.0>", O_RDWR)',
    );
    expect(printCall({ op: "open", node: { kind: "iommufd" }, flags: 0, as: "@iommufd1" })).toBe(
      'iommufd1 = open("/dev/iommu", O_RDONLY)',
    );
    expect(printCall({ op: "dup", fd: "@group0", as: "@group2" })).toBe("group2 = dup(group0)");
    expect(printCall({ op: "close", fd: -1 })).toBe("close(-1)");
  });

  it("an allocation that is to fail", () => {
    expect(printCall({ ...status, failNth: 3 })).toBe("ioctl(group0, VFIO_GROUP_GET_STATUS, {argsz=8}) (fail_nth 3)");
    expect(printOutcome(status, { ret: -12, failed: true })).toBe("-1 ENOMEM (INJECTED)");
    expect(printOutcome(status, { ret: 0, failed: false })).toBe("0");
  });

  it("an ioctl with flags by name and what the struct brings", () => {
    expect(printCall(bind({ fields: { argsz: 24, flags: 1, iommufd: "@iommufd0" } }))).toBe(
      "ioctl(device3, VFIO_DEVICE_BIND_IOMMUFD, " +
        "{argsz=24, flags=VFIO_DEVICE_BIND_FLAG_TOKEN, iommufd=iommufd0, out_devid→devid5})",
    );
    expect(printCall(bind({ fields: { argsz: 24, flags: 0x81 } }))).toContain("flags=VFIO_DEVICE_BIND_FLAG_TOKEN|0x80");
  });

  it("a struct that a pointer points to", () => {
    const token = { fields: { low: 1 }, place: "readonly" } as const;
    expect(printCall(bind({ fields: { token_uuid_ptr: token } }))).toContain("token_uuid_ptr=<read-only> {low=1}");
    expect(printCall(bind({ fields: { token_uuid_ptr: { fields: {}, place: "null" } } }))).toContain(
      "token_uuid_ptr=NULL",
    );
  });

  it("bad places", () => {
    const at = (place: StructArgument["place"] & {}): string => printCall(bind({ fields: { argsz: 24 }, place }));
    expect(at("null")).toBe("ioctl(device3, VFIO_DEVICE_BIND_IOMMUFD, NULL)");
    expect(at("unmapped")).toBe("ioctl(device3, VFIO_DEVICE_BIND_IOMMUFD, <unmapped>)");
    expect(at("readonly")).toContain("<read-only> {argsz=24");
    expect(at(7)).toContain("<first 7 bytes only> {argsz=24");
  });

  it("bytes past the struct's end", () => {
    expect(printCall(bind({ fields: {}, tail: [0, 0, 1] }))).toContain("<3 more bytes: 00 00 01>");
    expect(printCall(bind({ fields: {}, tail: [0] }))).toContain("<1 more byte: all zero>");
  });

  it("lists, names, and values by name", () => {
    const request = "VFIO_DEVICE_PCI_HOT_RESET";
    const struct = { fields: { argsz: 20, count: 2, group_fds: ["@group0", -1] } };
    expect(printCall({ op: "ioctl", fd: "@device1", request, arg: { kind: "struct", struct } })).toBe(
      "ioctl(device1, VFIO_DEVICE_PCI_HOT_RESET, {argsz=20, count=2, group_fds=[group0, -1]})",
    );
    const getDevice: Call = {
      op: "ioctl",
      fd: "@group0",
      request: "VFIO_GROUP_GET_DEVICE_FD",
      arg: { kind: "name", device: "nic0.0" },
      as: "@device1",
    };
    expect(printCall(getDevice)).toBe('device1 = ioctl(group0, VFIO_GROUP_GET_DEVICE_FD, "<nic0.0>")');
    expect(printCall(getDevice, REFERENCE_TOPOLOGY)).toContain('"0000:01:00.0"');
    expect(printCall({ op: "ioctl", fd: "@c", request: "VFIO_SET_IOMMU", arg: { kind: "value", value: 3 } })).toBe(
      "ioctl(c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)",
    );
  });

  it("addresses of the program's memory from where it begins", () => {
    const struct = { fields: { user_va: MEMORY.user + 0x1000n, length: 0x2000, iova: 2n ** 64n - 1n } };
    expect(printCall({ op: "ioctl", fd: "@i", request: "IOMMU_IOAS_MAP", arg: { kind: "struct", struct } })).toBe(
      "ioctl(i, IOMMU_IOAS_MAP, {user_va=<memory+0x1000>, length=0x2000, iova=0xffffffffffffffff})",
    );
  });

  it("sysfs and probes by their paths", () => {
    const unbind: Call = {
      op: "sysfs-write",
      attribute: { kind: "unbind", driver: "vfio-pci" },
      text: { device: "nic0.0" },
    };
    expect(printCall(unbind, REFERENCE_TOPOLOGY)).toBe('write("/sys/bus/pci/drivers/vfio-pci/unbind", "0000:01:00.0")');
    expect(printCall({ op: "probe", probe: { kind: "driver", device: "mdev0" } }, REFERENCE_TOPOLOGY)).toBe(
      'readlink("/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1000/driver")',
    );
    expect(printCall({ op: "probe", probe: { kind: "group-node", device: "nic0.0" } })).toBe(
      'access("/dev/vfio/<group of nic0.0>", F_OK)',
    );
  });

  it("reads, writes and mappings", () => {
    expect(printCall({ op: "pread", fd: "@d", count: 4, offset: 0x1000, place: "readonly" })).toBe(
      "pread(d, <read-only>, 4, 0x1000)",
    );
    expect(printCall({ op: "mmap", fd: "@d", length: 4096, prot: 3, offset: 0 })).toBe(
      "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, d, 0)",
    );
    expect(printCall({ op: "mmap", fd: "@d", length: 4096, prot: 1, offset: 0, private: true, as: "@mapping0" })).toBe(
      "mapping0 = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, d, 0)",
    );
    expect(printCall({ op: "munmap", at: "@mapping0", length: 4096 })).toBe("munmap(mapping0, 4096)");
    expect(printCall({ op: "memfd", size: 4096, as: "@m" })).toBe('m = memfd_create("memfd", 0), ftruncate(m, 4096)');
    expect(printCall({ op: "memfd", size: 0, sealed: true, as: "@m" })).toBe(
      'm = memfd_create("memfd", MFD_ALLOW_SEALING), ftruncate(m, 0), fcntl(m, F_ADD_SEALS, F_SEAL_WRITE)',
    );
    expect(printCall({ op: "lseek", fd: "@d", offset: 0, whence: 2 })).toBe("lseek(d, 0, SEEK_END)");
    expect(printCall({ op: "poll", fd: "@d" })).toBe("poll({fd=d, events=<all>}, 1, 0)");
    expect(printOutcome({ op: "poll", fd: "@d" }, { ret: 5 })).toBe("POLLIN|POLLOUT");
  });
});

describe("an outcome reads as strace has it", () => {
  it("errno by name, or by number where it is no known one", () => {
    expect(printOutcome(status, { ret: -22 })).toBe("-1 EINVAL");
    expect(printOutcome(status, { ret: -133 })).toBe("-1 errno 133");
  });

  it("what the kernel wrote, and not what it was given", () => {
    expect(printOutcome(status, { ret: 0, bytes: Uint8Array.of(8, 0, 0, 0, 3, 0, 0, 0) })).toBe(
      "0 {flags=VIABLE|CONTAINER_SET}",
    );
    expect(printOutcome(status, { ret: -14, bytes: Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0) })).toBe("-1 EFAULT");
    expect(printOutcome(status, { ret: -14, bytes: Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0) })).toBe(
      "-1 EFAULT {argsz=9}",
    );
  });

  it("a handle that is bound, though it was input as well", () => {
    const attach: Call = {
      op: "ioctl",
      fd: "@d",
      request: "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
      arg: { kind: "struct", struct: { fields: { argsz: 16, pt_id: "@ioas0" } } },
      binds: { pt_id: "@hwpt1" },
    };
    const bytes = Uint8Array.of(16, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0);
    expect(printOutcome(attach, { ret: 0, bytes })).toBe("0 {pt_id=3}");
  });

  it("the functions that a hot reset hits", () => {
    const info: Call = {
      op: "ioctl",
      fd: "@d",
      request: "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO",
      arg: { kind: "struct", struct: { fields: { argsz: 20, devices: [0] } } },
    };
    const bytes = Uint8Array.of(20, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255, 0, 0, 2, 0x11);
    expect(printOutcome(info, { ret: 0, bytes })).toBe(
      "0 {flags=DEV_ID|DEV_ID_OWNED, count=1, devices=[{-1, 0000:02:02.1}]}",
    );
  });

  it("text of probes", () => {
    expect(printOutcome({ op: "probe", probe: { kind: "driver", device: "d" } }, { ret: 0, text: "vfio-pci" })).toBe(
      '0 "vfio-pci"',
    );
    expect(printOutcome({ op: "probe", probe: { kind: "mdevs" } }, { ret: 2, text: "a\nb" })).toBe("2 [a, b]");
    expect(printOutcome({ op: "probe", probe: { kind: "pinned" } }, { ret: 64 })).toBe("64 kB");
    expect(printOutcome({ op: "probe", probe: { kind: "locked" } }, { ret: 0 })).toBe("0 kB");
  });
});

describe("what the caller may do", () => {
  it("goes by the names of capabilities and limits", () => {
    expect(printCall({ op: "capset", without: [] })).toBe("capset({effective=<permitted>})");
    expect(printCall({ op: "capset", without: ["CAP_IPC_LOCK", "CAP_SYS_ADMIN"] })).toBe(
      "capset({effective=<permitted>&~(1<<CAP_IPC_LOCK|1<<CAP_SYS_ADMIN)})",
    );
    expect(printCall({ op: "prlimit", resource: "RLIMIT_MEMLOCK", soft: 8192, hard: (1n << 64n) - 1n })).toBe(
      "prlimit64(0, RLIMIT_MEMLOCK, {rlim_cur=8*1024, rlim_max=RLIM64_INFINITY}, NULL)",
    );
  });
});
