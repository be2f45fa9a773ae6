/** Memory in files: mapped into I/O address spaces, and counted for another process. */
import { MEMORY, PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Fields, Place } from "../model/program.ts";
import { U64_MAX } from "../model/uapi/u64.ts";
import {
  allocIoas,
  attach,
  close,
  detach,
  ioctl,
  locked,
  map,
  openEventfd,
  openIommufd,
  pinned,
  throughNode,
  unmap,
  write,
} from "./calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

export const MAP_FILE = { since: "6.13", kconfig: ["IOMMUFD"] } as const;
const CHANGE_PROCESS = { since: "6.14", kconfig: ["IOMMUFD"] } as const;
const OF_FUNCTION = { since: "6.14", kconfig: ["IOMMUFD", "VFIO_DEVICE_CDEV"] } as const;
const READ_WRITE = 6;
const FIXED = 1;
const READ_ONLY = 4 | FIXED;
/** KiB of a page, as probes tell. */
const KIB = 4;

export const memfd = (pages: number): Call => ({ op: "memfd", size: pages * PAGE, as: "@memfd" });

export const mapFile = (fields: Fields = {}, place?: Place): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_IOAS_MAP_FILE",
    { size: 40, flags: READ_WRITE | FIXED, ioas_id: "@ioas", fd: "@memfd", length: PAGE, ...fields },
    place === undefined ? {} : { place },
  );

export const changeProcess = (reserved = 0): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_CHANGE_PROCESS", { size: 8, __reserved: reserved });

const attached = [...throughNode("edu0"), allocIoas("@iommufd"), attach("@device", "@ioas")];

export const IOAS_FILES: readonly Scenario[] = [
  scenario({
    id: "map-file",
    title: "memory of a memfd is mapped as the caller's own is, whether or not the file has it",
    needs: MAP_FILE,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      memfd(4),
      refused("EOPNOTSUPP", mapFile({ flags: 8 })),
      refused("EOVERFLOW", mapFile({ iova: U64_MAX, flags: 0 })),
      refused("EINVAL", mapFile({ flags: FIXED, ioas_id: 0 })),
      refused("ENOENT", mapFile({ ioas_id: 0, length: 0 })),
      refused("EINVAL", mapFile({ length: 0, fd: -1 })),
      refused("EOVERFLOW", mapFile({ start: U64_MAX, length: 2, fd: -1 })),
      refused("EBADF", mapFile({ fd: -1, length: U64_MAX - 1n })),
      refused("EINVAL", mapFile({ length: U64_MAX - 1n })),
      mapFile({ start: 1, length: 3 }),
      refused("EEXIST", mapFile({ iova: 2 })),
      mapFile({ iova: 16 * PAGE, start: 2 * PAGE, length: 64 * PAGE }),
      refused("ENOENT", unmap("@iommufd", "@ioas", 0, 1)),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
    ],
  }),
  scenario({
    id: "map-file-to-function",
    title:
      "pages of a file are pinned for a device as long as it can reach them, without a descriptor, but not behind its end",
    needs: OF_FUNCTION,
    steps: [
      ...attached,
      memfd(4),
      refused("EINVAL", mapFile({ start: PAGE, length: 4 * PAGE })),
      mapFile({ length: 4 * PAGE }),
      gives(4 * KIB, pinned),
      close("@memfd"),
      detach("@device"),
      gives(0, pinned),
      attach("@device", "@ioas"),
      gives(4 * KIB, pinned),
      { op: "memfd", size: PAGE + 1, as: "@memfd" },
      mapFile({ iova: 0x10_0000 }),
      refused("EINVAL", mapFile({ iova: 0x20_0000, start: PAGE })),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
      gives(0, pinned),
    ],
  }),
  scenario({
    id: "map-file-late",
    title: "a device can't be attached to an IOAS with what lies behind the end of a file",
    needs: OF_FUNCTION,
    steps: [
      ...throughNode("edu0"),
      allocIoas("@iommufd"),
      memfd(1),
      mapFile({ length: 2 * PAGE }),
      refused("EINVAL", attach("@device", "@ioas")),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
      attach("@device", "@ioas"),
    ],
  }),
  scenario({
    id: "change-process",
    title: "what is mapped of files is taken over, with its counts, and the caller's own memory stays where it is",
    needs: OF_FUNCTION,
    steps: [
      ...throughNode("edu0"),
      refused("EOPNOTSUPP", changeProcess(1)),
      changeProcess(),
      ...attached.slice(3),
      memfd(4),
      { op: "capset", without: ["CAP_IPC_LOCK"] },
      mapFile({ length: 4 * PAGE }),
      changeProcess(),
      gives(4 * KIB, pinned),
      gives(0, locked),
      allocIoas("@iommufd", "@ioas1"),
      map("@iommufd", "@ioas1", 0, PAGE),
      refused("EINVAL", changeProcess()),
      unmap("@iommufd", "@ioas1", 0, PAGE),
      changeProcess(),
    ],
  }),
  scenario({
    id: "change-process-own-memory",
    title: "counts of the caller's own memory are not taken over",
    needs: CHANGE_PROCESS,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      ioctl("@iommufd", "IOMMU_IOAS_MAP", {
        size: 40,
        flags: READ_WRITE,
        ioas_id: "@ioas",
        user_va: MEMORY.user,
        length: PAGE,
      }),
      refused("EINVAL", changeProcess()),
    ],
  }),
  scenario({
    id: "map-file-any-file",
    breaks: "map-file-any-file",
    title: "a file that is no memory is not mapped",
    needs: MAP_FILE,
    steps: [openIommufd(), allocIoas("@iommufd"), openEventfd(), refused("EINVAL", mapFile({ fd: "@eventfd" }))],
  }),
  scenario({
    id: "map-file-sealed",
    breaks: "map-file-sealed",
    title: "a file that is sealed against writing is mapped to be read, but not to be written to",
    needs: MAP_FILE,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      { op: "memfd", size: PAGE, sealed: true, as: "@memfd" },
      refused("EPERM", write("@memfd", [1])),
      refused("EPERM", { op: "mmap", fd: "@memfd", length: PAGE, prot: 3, offset: 0 }),
      { op: "mmap", fd: "@memfd", length: PAGE, prot: 1, offset: 0 },
      mapFile({ flags: READ_ONLY }),
      refused("EPERM", mapFile({ iova: PAGE })),
    ],
  }),
  scenario({
    id: "map-file-cycle",
    breaks: "map-file-cycle",
    title: "a device is not mapped into an IOAS, and can be bound again when it and its iommufd are closed",
    needs: { ...MAP_FILE, kconfig: ["IOMMUFD", "VFIO_DEVICE_CDEV"] },
    steps: [
      ...throughNode("mtty0"),
      allocIoas("@iommufd"),
      refused("EINVAL", mapFile({ fd: "@device" })),
      close("@device"),
      close("@iommufd"),
      ...throughNode("mtty0"),
    ],
  }),
];
