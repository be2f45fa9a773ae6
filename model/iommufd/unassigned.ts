/** Numbers that name no command of /dev/iommu, for programs to call all the same. Beside drivers/iommu/iommufd/main.c. */
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import { field, layout } from "../uapi/layout.ts";
import type { IommufdFile } from "./file.ts";

const SizeOnly = layout("iommufd_size_only", { size: field.argsz() });

/** A size as _IOC() has it: no command of /dev/iommu has one in its number. */
const WITH_SIZE = 8 << 16;

function unassigned(name: string, request: number): void {
  ioctl<IommufdFile>({
    name,
    request,
    argument: { kind: "struct", layout: SizeOnly },
    on: ["iommufd"],
    weight: 0.2,
    run() {
      throw new Error(`${name} is no command`);
    },
  });
}

unassigned("IOMMUFD_CMD_UNASSIGNED", vfioRequest(0x9f));
unassigned("IOMMU_DESTROY_WITH_SIZE", vfioRequest(0x80) | WITH_SIZE);
