/** Every combination of the ways in that Kconfig allows: which nodes there are, what they answer, and that nothing breaks. */
import { describe, expect, test } from "vitest";
import { legalCombinations, type WayOption } from "../model/kconfig.ts";
import { Machine } from "../model/machine.ts";
import { PROFILES, type Profile, withWays } from "../model/profile.ts";
import type { Call } from "../model/program.ts";
import { NOIOMMU_TOPOLOGY, REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import type { Topology } from "../model/topology.ts";
import { errnoName } from "../model/uapi/errno.ts";
import { PROPERTIES } from "../properties/all.ts";
import {
  attach,
  bind,
  close,
  getDeviceFd,
  getInfo,
  ioctlValue,
  openCdev,
  openContainer,
  openGroup,
  openIommufd,
  setContainer,
  setIommu,
} from "../scenarios/calls.ts";
import { ModelTarget } from "../targets/model.ts";
import { runCampaign } from "./campaign.ts";

/** What each call gave: `ok`, the value where it is one of an extension, or the errno's name. */
function answers(profile: Profile, topology: Topology, calls: readonly Call[]): readonly (string | number)[] {
  const machine = new Machine({ topology, profile });
  return calls.map((call) => {
    const { ret } = machine.step(call);
    if (ret < 0) return errnoName(-ret);
    return call.op === "ioctl" && call.request === "VFIO_CHECK_EXTENSION" ? ret : "ok";
  });
}

const or = (holds: boolean, errno: string): string => (holds ? "ok" : errno);

for (const full of Object.values(PROFILES)) {
  const { version } = full;
  const withCdev = version !== "6.1";
  describe(`${version} with`, () => {
    for (const ways of legalCombinations(version)) {
      const profile = withWays(full, ways);
      const has = (option: WayOption): boolean => ways.has(option);
      const group = has("VFIO_GROUP");
      const container = has("VFIO_CONTAINER");
      const name = [...ways].join(", ");

      test(`${name}: nodes and what they answer`, () => {
        const nodes = [openContainer(), openIommufd(), openGroup("mtty0"), openCdev("mtty0")];
        expect(answers(profile, REFERENCE_TOPOLOGY, nodes)).toEqual([
          or(container || has("IOMMUFD_VFIO_CONTAINER"), "ENOENT"),
          or(has("IOMMUFD"), "ENOENT"),
          or(group, "ENOENT"),
          or(has("VFIO_DEVICE_CDEV"), "ENOENT"),
        ]);
        // A container is none for kernels whose /dev/vfio/vfio is iommufd's: it takes types before any group, or ENODEV.
        const noContainer = has("IOMMUFD_VFIO_CONTAINER") ? "ENODEV" : "EBADF";
        expect(answers(profile, REFERENCE_TOPOLOGY, [openContainer(), setIommu("@container")])[1]).toBe(
          container ? "EINVAL" : noContainer,
        );
        const legacy = [openGroup("edu0"), openContainer(), setContainer("@group", "@container")];
        expect(answers(profile, REFERENCE_TOPOLOGY, legacy)[2]).toBe(
          group ? or(container || has("IOMMUFD_VFIO_CONTAINER"), "EBADF") : "EBADF",
        );
      });

      test(`${name}: binding and attaching through a group's descriptor`, () => {
        const other = has("IOMMUFD") ? openIommufd("@container") : openContainer();
        const calls = [
          openGroup("mtty0"),
          other,
          setContainer("@group", "@container"),
          ...(has("IOMMUFD") ? [] : [setIommu("@container")]),
          getDeviceFd("@group", "mtty0"),
          getInfo("@device"),
          bind("@device", 77),
          attach("@device", 1),
        ];
        expect(answers(profile, REFERENCE_TOPOLOGY, calls).slice(-3)).toEqual(
          group
            ? ["ok", withCdev && has("VFIO_DEVICE_CDEV") ? "EINVAL" : "ENOTTY", "ENOTTY"]
            : ["EBADF", "EBADF", "EBADF"],
        );
      });

      if (has("VFIO_DEVICE_CDEV"))
        test(`${name}: a device node, which no group blocks where there is none`, () => {
          const calls = [
            openCdev("edu0"),
            openIommufd(),
            openGroup("edu0"),
            bind("@device", "@iommufd"),
            close("@group"),
          ];
          expect(answers(profile, REFERENCE_TOPOLOGY, calls)).toEqual(
            group ? ["ok", "ok", "ok", "EBUSY", "ok"] : ["ok", "ok", "ENOENT", "ok", "EBADF"],
          );
        });

      if (has("VFIO_NOIOMMU"))
        test(`${name}: no-IOMMU mode through a group`, () => {
          const other = has("IOMMUFD") ? openIommufd("@container") : openContainer();
          const extension = (type: number) => ioctlValue("@container", "VFIO_CHECK_EXTENSION", type);
          const calls = [openGroup("edu0"), other, setContainer("@group", "@container"), extension(8), extension(1)];
          const after = [setIommu("@container", 1), setIommu("@container", 8), getDeviceFd("@group", "edu0")];
          expect(answers(profile, NOIOMMU_TOPOLOGY, [...calls, ...after])).toEqual([
            ...["ok", "ok", "ok", 1, 0],
            ...[has("IOMMUFD") ? "EINVAL" : "ENODEV", "ok", "ok"],
          ]);
          expect(answers(profile, NOIOMMU_TOPOLOGY, [openCdev("edu0")])).toEqual(["ENOENT"]);
        });

      test(`${name}: no invariant breaks`, async () => {
        for (const topology of has("VFIO_NOIOMMU") ? [REFERENCE_TOPOLOGY, NOIOMMU_TOPOLOGY] : [REFERENCE_TOPOLOGY]) {
          const { properties } = await runCampaign({
            target: new ModelTarget(topology, profile),
            properties: PROPERTIES,
            seed: 7,
            budget: { runs: 64 },
          });
          expect(properties.flatMap(({ findings }) => findings.map(({ what }) => what))).toEqual([]);
          expect(properties.reduce((sum, { programs }) => sum + programs, 0)).toBeGreaterThan(50);
        }
      });
    }
  });
}
