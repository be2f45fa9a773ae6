/** The general format of iommufd's commands: what the head of its uAPI header promises of all of them. */
import { PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Fields, FieldValue, Place } from "../model/program.ts";
import { allocIoas, attach, bind, destroy, ioctl, openCdev, openIommufd } from "./calls.ts";
import { CDEV, IOMMUFD } from "./needs.ts";
import { refused, type Scenario, type Step, scenario } from "./scenario.ts";

/** Commands with right arguments, and the sizes of their structs. */
const COMMANDS: readonly { readonly request: string; readonly size: number; readonly fields: Fields }[] = [
  { request: "IOMMU_IOAS_ALLOC", size: 12, fields: {} },
  { request: "IOMMU_IOAS_ALLOW_IOVAS", size: 24, fields: { ioas_id: "@ioas" } },
  {
    request: "IOMMU_IOAS_IOVA_RANGES",
    size: 32,
    fields: { ioas_id: "@ioas", num_iovas: 1, allowed_iovas: { fields: {} } },
  },
  { request: "IOMMU_IOAS_MAP", size: 40, fields: { flags: 6, ioas_id: "@ioas", length: PAGE } },
  { request: "IOMMU_IOAS_UNMAP", size: 24, fields: { ioas_id: "@ioas", length: 2n ** 64n - 1n } },
  { request: "IOMMU_OPTION", size: 24, fields: { option_id: 1, op: 1, object_id: "@ioas" } },
];

const sized = (request: string, size: number, fields: Fields, tail?: readonly number[]): Call => ({
  op: "ioctl",
  fd: "@iommufd",
  request,
  arg: { kind: "struct", struct: { fields: { ...fields, size }, ...(tail ? { tail } : {}) } },
});

/** What every command answers to structs that are too short, longer than it knows, or not all there. */
function ofEverySize({ request, size, fields }: (typeof COMMANDS)[number]): (Call | Step)[] {
  const placed = (place: Place): Call => ioctl("@iommufd", request, { ...fields, size }, { place });
  return [
    refused("EINVAL", sized(request, size - 1, fields)),
    refused("EINVAL", sized(request, 0, fields)),
    refused("E2BIG", sized(request, size + 1, fields, [1])),
    refused("EFAULT", placed("null")),
    refused("EFAULT", placed(size - 1)),
    sized(request, size + 8, fields, [0, 0, 0, 0, 0, 0, 0, 0]),
  ];
}

/** Commands on an IOAS by its id. */
const onIoas = (id: FieldValue): Call[] => [
  ioctl("@iommufd", "IOMMU_IOAS_ALLOW_IOVAS", { size: 24, ioas_id: id }),
  ioctl("@iommufd", "IOMMU_IOAS_IOVA_RANGES", { size: 32, ioas_id: id }),
  ioctl("@iommufd", "IOMMU_IOAS_MAP", { size: 40, flags: 6, ioas_id: id, length: PAGE }),
  ioctl("@iommufd", "IOMMU_IOAS_COPY", { size: 40, flags: 6, src_ioas_id: id, dst_ioas_id: "@ioas", length: PAGE }),
  ioctl("@iommufd", "IOMMU_IOAS_UNMAP", { size: 24, ioas_id: id }),
  ioctl("@iommufd", "IOMMU_OPTION", { size: 24, option_id: 1, op: 7, object_id: id }),
];

export const IOCTL_FORMAT: readonly Scenario[] = [
  scenario({
    id: "ioctl-sizes",
    title: "a command takes structs that are longer than it knows, if the rest is zero, and none that are shorter",
    needs: IOMMUFD,
    steps: [openIommufd(), allocIoas("@iommufd"), ...COMMANDS.flatMap(ofEverySize)],
  }),
  scenario({
    id: "ioctl-unknown",
    title: "a number that names no command is none, whatever is in the struct, but its size is looked for",
    needs: IOMMUFD,
    steps: [
      openIommufd(),
      refused("ENOTTY", ioctl("@iommufd", "IOMMUFD_CMD_UNASSIGNED", { size: 4 })),
      refused("ENOTTY", ioctl("@iommufd", "IOMMUFD_CMD_UNASSIGNED", { size: 0 })),
      refused("ENOTTY", ioctl("@iommufd", "IOMMU_DESTROY_WITH_SIZE", { size: 8 })),
      refused("EFAULT", ioctl("@iommufd", "IOMMU_DESTROY_WITH_SIZE", { size: 8 }, { place: 3 })),
    ],
  }),
  scenario({
    id: "ioctl-unknown-values",
    title: "a flag or a reserved field that the kernel does not know of is told from a value that is not right",
    needs: IOMMUFD,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      refused("EOPNOTSUPP", ioctl("@iommufd", "IOMMU_IOAS_ALLOC", { size: 12, flags: 1 })),
      refused("EOPNOTSUPP", ioctl("@iommufd", "IOMMU_IOAS_ALLOW_IOVAS", { size: 24, __reserved: 1 })),
      refused("EOPNOTSUPP", ioctl("@iommufd", "IOMMU_IOAS_IOVA_RANGES", { size: 32, __reserved: 1 })),
      refused("EOPNOTSUPP", ioctl("@iommufd", "IOMMU_IOAS_MAP", { size: 40, flags: 14 })),
      refused("EOPNOTSUPP", ioctl("@iommufd", "IOMMU_IOAS_MAP", { size: 40, flags: 6, __reserved: 1 })),
      refused("EOPNOTSUPP", ioctl("@iommufd", "IOMMU_IOAS_COPY", { size: 40, flags: 2 ** 31 })),
      refused("EOPNOTSUPP", ioctl("@iommufd", "IOMMU_OPTION", { size: 24, __reserved: 1 })),
      refused("EOPNOTSUPP", ioctl("@iommufd", "IOMMU_VFIO_IOAS", { size: 12, __reserved: 1 })),
      refused("EINVAL", ioctl("@iommufd", "IOMMU_IOAS_MAP", { size: 40, flags: 1, ioas_id: "@ioas" })),
    ],
  }),
  scenario({
    id: "ioctl-wrong-ids",
    title: "commands on an IOAS take the id of an IOAS, not that of another object, nor one that is gone or never was",
    needs: CDEV,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      openCdev("edu0"),
      bind("@device", "@iommufd"),
      openCdev("mtty0", "@emulated"),
      bind("@emulated", "@iommufd", "@access"),
      attach("@device", "@ioas"),
      allocIoas("@iommufd", "@gone"),
      destroy("@iommufd", "@gone"),
      ...["@devid", "@access", "@hwpt", "@gone", 0, 0x7fff_ffff, 0xffff_ffff].flatMap((id) =>
        onIoas(id).map((call) => refused("ENOENT", call)),
      ),
      refused("ENOENT", destroy("@iommufd", "@gone")),
      refused("ENOENT", destroy("@iommufd", 0)),
      refused("EBUSY", destroy("@iommufd", "@access")),
      refused("EBUSY", destroy("@iommufd", "@devid")),
      refused("EBUSY", destroy("@iommufd", "@hwpt")),
    ],
  }),
];
