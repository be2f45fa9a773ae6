/** An iommufd that a device without IOMMU has joined says that it can map like type1, and then can't. */
import { EXTENSION } from "../../model/vfio/type1.ts";
import type { Fault } from "./fault.ts";

const TYPE1 = [EXTENSION.TYPE1, EXTENSION.TYPE1v2, EXTENSION.UNMAP_ALL] as const;

export const noiommuHasType1: Fault = {
  id: "noiommu-has-type1",
  title: "an iommufd in no-IOMMU mode has VFIO's types as extensions",
  cites: "7147ec874ea0 iommufd: vfio compatibility extension check for noiommu mode (7.0 stable)",
  breaks: "difference",
  shownBy: "iommufd-compat",
  machine: "noiommu",
  apply(k) {
    const right = k.iommufd.checkExtension;
    k.iommufd = {
      ...k.iommufd,
      *checkExtension(kernel, context, extension) {
        return TYPE1.some((type) => type === extension) ? 1 : yield* right(kernel, context, extension);
      },
    };
  },
};
