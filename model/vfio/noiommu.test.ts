/** No-IOMMU mode: who may enter it, what does not mix, and what then works. */
import { describe, expect, test } from "vitest";
import {
  allocIoas,
  close,
  getDeviceFd,
  getInfo,
  ioctl,
  ioctlValue,
  openCdev,
  openContainer,
  openGroup,
  openIommufd,
  setContainer,
  setIommu,
  unbindDriver,
  unsetContainer,
} from "../../scenarios/calls.ts";
import { Machine } from "../machine.ts";
import { PROFILES } from "../profile.ts";
import type { Call } from "../program.ts";
import { NOIOMMU_TOPOLOGY, REFERENCE_TOPOLOGY } from "../reference-topology.ts";
import { errnoName } from "../uapi/errno.ts";

const NOIOMMU_IOMMU = 8;
const drop: Call = { op: "capset", without: ["CAP_SYS_RAWIO"] };
const regain: Call = { op: "capset", without: [] };

function boot(version: string, topology = NOIOMMU_TOPOLOGY) {
  const profile = PROFILES[version];
  if (!profile) throw new Error(`there is no profile ${version}`);
  const machine = new Machine({ topology, profile });
  /** Makes calls, and gives the errno of the last, or its value. */
  const last = (...calls: Call[]): string | number => {
    let ret = 0;
    for (const call of calls) ret = machine.step(call).ret;
    return ret < 0 ? errnoName(-ret) : ret;
  };
  return { machine, last };
}

const legacy = [openContainer(), openGroup("edu0"), setContainer("@group", "@container")];

describe.each(["6.1", "6.12", "7.2"])("in no-IOMMU mode %s", (version) => {
  test("asks for CAP_SYS_RAWIO at every step, before anything else", () => {
    const { last } = boot(version);
    expect(last(drop, openGroup("edu0"))).toBe("EPERM");
    expect(last(regain, openGroup("edu0"), drop, openGroup("edu0", "@again"))).toBe("EPERM");
    expect(last(openContainer(), setContainer("@group", "@container"))).toBe("EPERM");
    expect(last(regain, setContainer("@group", "@container"), drop, setIommu("@container", 99))).toBe("ENODEV");
    expect(last(setIommu("@container", NOIOMMU_IOMMU))).toBe("EPERM");
    expect(last(getDeviceFd("@group", "edu0"))).toBe("EINVAL");
    expect(last(regain, setIommu("@container", NOIOMMU_IOMMU), drop, getDeviceFd("@group", "edu0"))).toBe("EPERM");
    expect(last(regain, getDeviceFd("@group", "edu0"), getInfo("@device"))).toBe(0);
    // Before 6.2 every open asks, since then the first.
    const again = last(drop, getDeviceFd("@group", "edu0", "@again"));
    if (version === "6.1") expect(again).toBe("EPERM");
    else expect(again).toBeGreaterThan(0);
  });

  test("has the one backend for such groups, which answers nothing and which others can't have", () => {
    const { last } = boot(version);
    const extension = (type: number) => last(ioctlValue("@container", "VFIO_CHECK_EXTENSION", type));
    last(openContainer());
    expect([extension(1), extension(NOIOMMU_IOMMU)]).toEqual([1, 1]);
    last(openGroup("edu0"), setContainer("@group", "@container"));
    expect([extension(1), extension(NOIOMMU_IOMMU)]).toEqual([0, 1]);
    expect(last(setIommu("@container", 1))).toBe("ENODEV");
    expect(last(setIommu("@container", NOIOMMU_IOMMU))).toBe(0);
    expect([extension(1), extension(NOIOMMU_IOMMU)]).toEqual([0, 1]);
    expect(last(ioctl("@container", "IOMMU_IOAS_ALLOC", { size: 12 }))).toBe("ENOTTY");
    last(close("@group"), openGroup("mtty0"), setContainer("@group", "@container"));
    expect([extension(1), extension(NOIOMMU_IOMMU)]).toEqual([1, 0]);
    expect(last(setIommu("@container", NOIOMMU_IOMMU))).toBe("ENODEV");
  });

  test("mixes no groups with and without IOMMU in a container", () => {
    const { last } = boot(version);
    const emulated = openGroup("mtty0", "@emulated");
    expect(last(...legacy, emulated, setContainer("@emulated", "@container"))).toBe("EPERM");
    expect(last(unsetContainer("@group"), setContainer("@emulated", "@container"))).toBe(0);
    expect(last(setContainer("@group", "@container"))).toBe("EPERM");
  });

  test("has a group per function, as long as the driver has it, and no device node", () => {
    const { machine, last } = boot(version);
    const before = machine.k.iommuGroups.length;
    expect(last(openGroup("nic0.0"), openGroup("nic0.1", "@other"))).toBeGreaterThan(0);
    expect(last(openCdev("nic0.0"))).toBe("ENOENT");
    expect(last({ op: "probe", probe: { kind: "group-members", device: "nic0.0" } })).toBe(1);
    expect(last(unbindDriver("vfio-pci", "nic0.0"))).toBe(12);
    expect(machine.k.iommuGroups.length).toBe(before - 1);
    expect(last({ op: "probe", probe: { kind: "group-members", device: "nic0.0" } })).toBe("ENOENT");
    expect(last(ioctl("@group", "VFIO_GROUP_GET_STATUS", { argsz: 8 }))).toBe("ENODEV");
    expect(last(openGroup("nic0.0", "@again"))).toBe("ENOENT");
  });
});

describe.each(["6.12", "7.2"])("in no-IOMMU mode with an iommufd %s", (version) => {
  const join = [openIommufd(), openGroup("edu0"), setContainer("@group", "@iommufd")];

  test("opens a device that the iommufd knows nothing of", () => {
    const { machine, last } = boot(version);
    expect(last(...join, getDeviceFd("@group", "edu0"))).toBeGreaterThan(0);
    expect(last(getInfo("@device"))).toBe(0);
    expect(last(allocIoas("@iommufd"))).toBe(0);
    expect(machine.resolve("@ioas")).toBe(1);
    expect(last(close("@device"), unsetContainer("@group"))).toBe(0);
  });

  test("takes no other kind of group with such a group, and none with a compatibility IOAS", () => {
    const { last } = boot(version);
    expect(last(...join, openGroup("mtty0", "@emulated"), setContainer("@emulated", "@iommufd"))).toBe("EINVAL");
    expect(last(close("@group"), setContainer("@emulated", "@iommufd"))).toBe("EINVAL");
    expect(last(openIommufd("@other"), setContainer("@emulated", "@other"))).toBe(0);
    expect(last(openGroup("edu0"), setContainer("@group", "@other"))).toBe("EINVAL");
  });

  test("opens nothing once a compatibility IOAS was set behind its back", () => {
    const { last } = boot(version);
    const set = ioctl("@iommufd", "IOMMU_VFIO_IOAS", { size: 12, ioas_id: "@ioas", op: 1 });
    expect(last(...join, allocIoas("@iommufd"), set, getDeviceFd("@group", "edu0"))).toBe("EPERM");
  });

  test("asks for CAP_SYS_RAWIO to choose it and to open", () => {
    const { last } = boot(version);
    expect(last(...join, drop, setIommu("@iommufd", NOIOMMU_IOMMU))).toBe("EPERM");
    expect(last(setIommu("@iommufd", 1))).toBe("EINVAL");
    expect(last(getDeviceFd("@group", "edu0"))).toBe("EPERM");
    expect(last(regain, setIommu("@iommufd", NOIOMMU_IOMMU), setIommu("@iommufd", NOIOMMU_IOMMU))).toBe(0);
  });
});

test("with an IOMMU there is nothing of it", () => {
  const { last } = boot("7.2", REFERENCE_TOPOLOGY);
  expect(last(openContainer(), ioctlValue("@container", "VFIO_CHECK_EXTENSION", NOIOMMU_IOMMU))).toBe(0);
  expect(last(drop, openGroup("edu0"))).toBeGreaterThan(0);
});
