import { describe, expect, it } from "vitest";
import { UsageError } from "./errors.ts";
import { budgetOf, select } from "./run.ts";
import { chooseTarget, type TargetOptions } from "./target-options.ts";

const refusal = (options: TargetOptions): string => {
  try {
    chooseTarget(options);
  } catch (thrown) {
    if (thrown instanceof UsageError) return thrown.message;
    throw thrown;
  }
  return "not refused";
};

describe("a target", () => {
  it("is the model of 7.2 unless something else is said", () => {
    expect(chooseTarget({})).toMatchObject({ kind: "model", profile: { version: "7.2" }, fault: null });
    expect(chooseTarget({ profile: "6.1" })).toMatchObject({ kind: "model", profile: { version: "6.1" } });
  });

  it("has other ways in than all, and another machine, where that is said", () => {
    expect(chooseTarget({ kconfig: "no-group", machine: "noiommu" })).toMatchObject({
      kind: "model",
      topology: { name: "noiommu" },
      profile: {
        kconfig: new Set([
          "KVM",
          "PM",
          "VFIO_MDEV",
          "VFIO_PCI_VGA",
          "KVM_IOAPIC",
          "IOMMUFD_TEST",
          "VFIO_PCI_DMABUF",
          "IOMMUFD",
          "VFIO_DEVICE_CDEV",
        ]),
      },
    });
    expect(chooseTarget({ kernel: "7.2", kconfig: "no-cdev" })).toMatchObject({ request: { kconfig: "no-cdev" } });
    expect(refusal({ kernel: "bzImage", kconfig: "no-cdev" })).toMatch(
      /^--kconfig is for kernels that the suite builds/,
    );
    expect(refusal({ device: ["0000:06:0d.0"], target: "host", kconfig: "no-cdev" })).toBe(
      "--kconfig is for --target model or qemu, not for --target host.",
    );
    expect(chooseTarget({ machine: "mock" })).toMatchObject({ topology: { name: "mock" } });
    expect(chooseTarget({ machine: "idxd" })).toMatchObject({ topology: { name: "idxd" } });
    expect(refusal({ machine: "clock" })).toBe(
      "The model has no machine clock: choose one of iommu, sriov, mock, noiommu, managed, variants, idxd.",
    );
  });

  it("is the model with a fault", () => {
    expect(chooseTarget({ fault: "destroy-in-use" })).toMatchObject({ kind: "model", fault: { id: "destroy-in-use" } });
    expect(refusal({ fault: "gremlins" })).toMatch(/^There is no fault gremlins: choose one of .*destroy-in-use/);
  });

  it("is a kernel in QEMU where one is named", () => {
    const release = { kind: "release", version: "6.12", flavour: "plain" };
    expect(chooseTarget({ kernel: "6.12" })).toMatchObject({
      kind: "qemu",
      request: release,
      machine: { name: "iommu" },
    });
    expect(chooseTarget({ target: "qemu", machine: "mock" })).toMatchObject({
      request: { version: "7.2" },
      machine: { name: "mock" },
    });
    expect(chooseTarget({ tree: "linux", flavour: "debug" })).toMatchObject({
      request: { kind: "tree", directory: "linux", flavour: "debug" },
    });
    expect(chooseTarget({ kernel: "boot/bzImage", config: "boot/config" })).toMatchObject({
      request: { kind: "image", path: "boot/bzImage", configPath: "boot/config" },
    });
  });

  it("is this host only with devices", () => {
    expect(refusal({ target: "host" })).toMatch(/needs --device/);
    expect(chooseTarget({ target: "host", device: ["0000:06:0d.0"] })).toEqual({
      kind: "host",
      devices: ["0000:06:0d.0"],
      yes: false,
    });
  });

  it("refuses options that do not go together", () => {
    expect(refusal({ kernel: "7.2", fault: "no-gate" })).toBe("--fault is for --target model, not for --target qemu.");
    expect(refusal({ device: ["0000:06:0d.0"] })).toBe("--device is for --target host, not for --target model.");
    expect(refusal({ kernel: "7.2", tree: "linux" })).toMatch(/give one of them/);
    expect(refusal({ kernel: "7.2", config: "x" })).toMatch(/^--config is for an image/);
    expect(refusal({ kernel: "bzImage", flavour: "debug" })).toMatch(/an image is what it is/);
  });
});

describe("a run", () => {
  it("has a time unless it has a number of programs", () => {
    expect(budgetOf({}, true)).toEqual({ seconds: 30 });
    expect(budgetOf({}, false)).toEqual({ seconds: 60 });
    expect(budgetOf({ runs: 50 }, false)).toEqual({ runs: 50 });
    expect(budgetOf({ runs: 50, time: 10 }, true)).toEqual({ runs: 50, seconds: 10 });
  });

  it("takes properties and scenarios by their ids", () => {
    const { properties, named } = select(["hot-reset", "destroy-in-use", "bind-leaks-vm"]);
    expect(properties.map(({ id }) => id)).toEqual(["hot-reset"]);
    expect(named?.map(({ id }) => id)).toEqual(["destroy-in-use", "bind-leaks-vm"]);
    expect(select(undefined).named).toBeNull();
    expect(() => select(["hot-rest"])).toThrow(/no property or scenario hot-rest/);
  });
});
