/** Openings with I/O address spaces: devices attached to some of them, so that what is mapped later is pinned. */
import type { Call } from "../../model/program.ts";
import { oneIn, pick } from "./dice.ts";
import type { Motif } from "./motifs.ts";
import { credentials, memfd, type Situation } from "./moves.ts";

/** An iommufd with one to three IOASes, with a device or a mock attached to each; sometimes one that counts for the process. */
const spaces: Motif = (on, make) => {
  const { dice, handles, focus } = on;
  const iommufd = handles.fresh("iommufd");
  make({ op: "open", node: { kind: "iommufd" }, as: iommufd });
  if (oneIn(dice, 3)) make(struct(iommufd, "IOMMU_OPTION", { size: 24, val64: 1 }));
  if (oneIn(dice, 2)) make(credentials(dice));
  if (oneIn(dice, 2)) make(memfd(dice, handles));
  for (let more = 1 + dice.roll(3); more > 0; more--) {
    const ioas = handles.fresh("ioas");
    make(struct(iommufd, "IOMMU_IOAS_ALLOC", { size: 12 }, { out_ioas_id: ioas }));
    const { k } = on.machine;
    if (k.has("IOMMUFD_TEST") && (!k.topology.iommu || oneIn(dice, 4))) attachMock(on, make, iommufd, ioas);
    else if (k.has("VFIO_DEVICE_CDEV")) attach(on, make, iommufd, ioas, pick(dice, focus.devices));
  }
};

/** A mock of the kernel's selftests, for a machine without an IOMMU. */
function attachMock({ handles }: Situation, make: (call: Call) => boolean, iommufd: string, ioas: string): void {
  const binds = {
    out_stdev_id: handles.fresh("stdev"),
    out_hwpt_id: handles.fresh("hwpt"),
    out_idev_id: handles.fresh("devid"),
  };
  make(struct(iommufd, "IOMMU_TEST_OP_MOCK_DOMAIN", { size: 72, op: MOCK_DOMAIN, id: ioas }, binds));
}

const MOCK_DOMAIN = 2;

function attach(
  { handles }: Situation,
  make: (call: Call) => boolean,
  iommufd: string,
  ioas: string,
  device: string,
): void {
  const file = handles.fresh("device");
  make({ op: "open", node: { kind: "cdev", device }, as: file });
  make(struct(file, "VFIO_DEVICE_BIND_IOMMUFD", { argsz: 24, iommufd }, { out_devid: handles.fresh("devid") }));
  make(struct(file, "VFIO_DEVICE_ATTACH_IOMMUFD_PT", { argsz: 16, pt_id: ioas }, { pt_id: handles.fresh("hwpt") }));
}

function struct(
  fd: string,
  request: string,
  fields: Readonly<Record<string, number | string>>,
  binds?: Readonly<Record<string, string>>,
): Call {
  const call = { op: "ioctl", fd, request, arg: { kind: "struct", struct: { fields } } } as const;
  return binds ? { ...call, binds } : call;
}

export const SPACE_MOTIFS: readonly Motif[] = [spaces];
