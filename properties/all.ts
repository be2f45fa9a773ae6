/** The properties of the suite. */
import { dmaBuffers } from "./definitions/buffers.ts";
import { iommufdCompat, type1 } from "./definitions/containers.ts";
import { auxiliary, driverIds } from "./definitions/drivers.ts";
import { configSpace, lowPower, sriov } from "./definitions/functions.ts";
import { idxdGuests } from "./definitions/idxd.ts";
import { iommufdAreas, iommufdObjects, pageTables } from "./definitions/iommufd.ts";
import { mdevLifecycle, migration, sampleDevices } from "./definitions/mdevs.ts";
import { allocationFailures } from "./definitions/memory.ts";
import { iommufdAccess, iommufdMock, mockPasids, mockTables, mockViommus } from "./definitions/mocks.ts";
import { eduDma, functionRegions } from "./definitions/regions.ts";
import { DRIVER_PROPERTIES } from "./definitions/variant-drivers.ts";
import {
  driverBinding,
  emulatedDevices,
  hotReset,
  irqBypass,
  kvmVfio,
  leaving,
  noiommu,
  pciFunctions,
} from "./definitions/vfio.ts";
import type { Property } from "./property.ts";

export const PROPERTIES: readonly Property[] = [
  emulatedDevices,
  iommufdObjects,
  pageTables,
  mockTables,
  mockViommus,
  mockPasids,
  iommufdMock,
  iommufdAreas,
  iommufdAccess,
  kvmVfio,
  irqBypass,
  pciFunctions,
  type1,
  iommufdCompat,
  hotReset,
  configSpace,
  lowPower,
  sriov,
  functionRegions,
  dmaBuffers,
  eduDma,
  mdevLifecycle,
  migration,
  sampleDevices,
  idxdGuests,
  driverBinding,
  leaving,
  driverIds,
  auxiliary,
  noiommu,
  allocationFailures,
  ...DRIVER_PROPERTIES,
];

/** The property of that id, or undefined. */
export function findProperty(id: string): Property | undefined {
  return PROPERTIES.find((candidate) => candidate.id === id);
}
