/**
 * The mediated devices that stand in every program: how they are made, and introduced. mtty and mdpy remember for good that they
 * were asked for their information; since each is asked when it is made, programs that ask again leave nothing behind.
 */
import { ioctl, ioctlValue } from "../model/ioctl-calls.ts";
import type { Call } from "../model/program.ts";
import type { MdevSpec, Topology } from "../model/topology.ts";
import type { Lowering } from "./lower/lower.ts";
import { attributePath, devicePath } from "./lower/paths.ts";
import type { Shape } from "./lower/shape.ts";

/** VFIO_TYPE1_IOMMU */
const TYPE1 = 1;

/** A standing device. */
export type Standing = MdevSpec & { readonly standing: NonNullable<MdevSpec["standing"]> };

/** The devices of a topology that stand. */
export function standingMdevs({ mdevs }: Topology): Standing[] {
  return mdevs.flatMap((mdev) => (mdev.standing ? [{ ...mdev, standing: mdev.standing }] : []));
}

/** Shapes of what making a device puts out. */
export interface Made {
  readonly create: Shape;
  /** Of every way in, what comes before the question and the question itself; one of them must be answered. */
  readonly ways: readonly { readonly before: readonly Shape[]; readonly question: Shape }[];
}

/** Makes a standing device and asks it for its information. What is opened for that stays open until the code ends. */
export function makeStanding(lowering: Lowering, topology: Topology, { name, uuid, standing }: Standing): Made {
  const create = lowering.sysfsWrite(attributePath(topology, { kind: "mdev-create", ...standing }), uuid);
  const question = ioctl(`@${name}`, "VFIO_DEVICE_GET_INFO", { argsz: 16 });
  const ways = waysTo(name).map((calls) => ({
    before: calls.map((call) => lowering.call(call)),
    question: lowering.call(question),
  }));
  return { create, ways };
}

/** Removes a device that was made. */
export function removeMdev(lowering: Lowering, topology: Topology, name: string): Shape {
  return lowering.sysfsWrite(`${devicePath(topology, name)}/remove`, "1");
}

/** The ways in that kernels have, one or the other by their Kconfig: whichever is open is taken, and others are refused. */
function waysTo(name: string): readonly (readonly Call[])[] {
  const device = `@${name}`;
  const group = `@${name}-group`;
  const container = `@${name}-container`;
  const iommufd = `@${name}-iommufd`;
  const openGroup: Call = { op: "open", node: { kind: "group", device: name }, as: group };
  const openIommufd: Call = { op: "open", node: { kind: "iommufd" }, as: iommufd };
  const join = (fd: string): Call => ioctl(group, "VFIO_GROUP_SET_CONTAINER", { fd });
  const getDevice: Call = {
    op: "ioctl",
    fd: group,
    request: "VFIO_GROUP_GET_DEVICE_FD",
    arg: { kind: "name", device: name },
    as: device,
  };
  return [
    [
      { op: "open", node: { kind: "container" }, as: container },
      openGroup,
      join(container),
      ioctlValue(container, "VFIO_SET_IOMMU", TYPE1),
      getDevice,
    ],
    [
      openIommufd,
      { op: "open", node: { kind: "cdev", device: name }, as: device },
      ioctl(device, "VFIO_DEVICE_BIND_IOMMUFD", { argsz: 16, iommufd }),
    ],
    [join(iommufd), getDevice],
  ];
}
