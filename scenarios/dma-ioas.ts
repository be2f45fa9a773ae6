/** The same through an iommufd: what the IOAS maps that a device is attached to leads there, and nothing else does. */
import { PAGE } from "../model/kernel/memory-map.ts";
import { command, MASTER_ON } from "./bar-calls.ts";
import { allocIoas, attach, destroy, detach, ioctl, map, throughNode, unmap } from "./calls.ts";
import { deviceReads, deviceWrites, look, put, USER } from "./dma-calls.ts";
import { CDEV } from "./needs.ts";
import { gives, type Scenario, scenario } from "./scenario.ts";

const page = (number: number): number => number * PAGE;
/** Where scenarios map. */
const [A, B] = [page(16), page(32)];
/** IOMMU_IOAS_MAP of a fixed address, to be read. */
const FIXED_READ = 5;

export const IOAS_DMA: readonly Scenario[] = [
  scenario({
    id: "dma-ioas",
    title: "a device reaches the IOAS that it is attached to, and none once it is detached",
    needs: CDEV,
    steps: [
      ...throughNode("edu0"),
      command(MASTER_ON),
      allocIoas("@iommufd"),
      allocIoas("@iommufd", "@ioas1"),
      map("@iommufd", "@ioas", A, page(2)),
      put(0, 0x1001),
      put(page(1), 0x1002),
      // Attached to nothing, it reaches nothing.
      deviceReads(A),
      deviceWrites(A + 8),
      gives(0, look(8)),
      attach("@device", "@ioas"),
      deviceReads(A),
      deviceWrites(A + 8),
      gives(0, look(8)),
      attach("@device", "@ioas1"),
      deviceWrites(A + 16),
      gives(0, look(16)),
      attach("@device", "@ioas"),
      deviceReads(A + PAGE),
      deviceWrites(A + 24),
      gives(0, look(24)),
      detach("@device"),
      deviceWrites(A + 32),
      gives(0, look(32)),
    ],
  }),
  scenario({
    id: "dma-ioas-unmapped",
    title: "what an IOAS maps is reached until it is unmapped, and is not written where it is mapped read-only",
    needs: CDEV,
    steps: [
      ...throughNode("edu0"),
      command(MASTER_ON),
      allocIoas("@iommufd"),
      attach("@device", "@ioas"),
      map("@iommufd", "@ioas", A, page(1)),
      put(0, 0x2001),
      deviceReads(A),
      unmap("@iommufd", "@ioas", A, page(1)),
      deviceWrites(A + 8),
      gives(0, look(8)),
      ioctl("@iommufd", "IOMMU_IOAS_MAP", {
        size: 40,
        flags: FIXED_READ,
        ioas_id: "@ioas",
        user_va: USER,
        length: PAGE,
        iova: B,
      }),
      deviceReads(B),
      deviceWrites(B + 8),
      gives(0, look(8)),
      detach("@device"),
      destroy("@iommufd", "@ioas"),
    ],
  }),
];
