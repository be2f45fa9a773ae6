/** Openings with I/O address spaces: devices attached to some of them, so that what is mapped later is pinned. */
import { ioctl } from "../../model/ioctl-calls.ts";
import { oneIn, pick } from "./dice.ts";
import { allocIoas, attach, mock, open, openBound } from "./motif-calls.ts";
import type { Motif } from "./motifs.ts";
import { credentials, memfd } from "./moves.ts";

/** An iommufd with one to three IOASes, with a device or a mock attached to each; sometimes one that counts for the process. */
const spaces: Motif = (on, make) => {
  const { dice, focus } = on;
  const iommufd = open(on, make, { kind: "iommufd" });
  if (oneIn(dice, 3)) make(ioctl(iommufd, "IOMMU_OPTION", { size: 24, val64: 1 }));
  if (oneIn(dice, 2)) make(credentials(dice));
  if (oneIn(dice, 2)) make(memfd(on));
  for (let more = 1 + dice.roll(3); more > 0; more--) {
    const ioas = allocIoas(on, make, iommufd);
    const { k } = on.machine;
    if (k.has("IOMMUFD_TEST") && (!k.topology.iommu || oneIn(dice, 4))) mock(on, make, iommufd, ioas);
    else if (k.has("VFIO_DEVICE_CDEV")) {
      attach(on, make, openBound(on, make, iommufd, pick(dice, focus.devices)).file, ioas);
    }
  }
};

export const SPACE_MOTIFS: readonly Motif[] = [spaces];
