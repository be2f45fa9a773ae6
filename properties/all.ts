/** The properties of the suite. */
import { iommufdCompat, type1 } from "./definitions/containers.ts";
import { configSpace, lowPower, sriov } from "./definitions/functions.ts";
import { iommufdAreas, iommufdObjects, pageTables } from "./definitions/iommufd.ts";
import { mdevLifecycle, migration, sampleDevices } from "./definitions/mdevs.ts";
import { allocationFailures } from "./definitions/memory.ts";
import { iommufdAccess, iommufdMock, mockPasids, mockTables, mockViommus } from "./definitions/mocks.ts";
import { driverBinding, emulatedDevices, hotReset, kvmVfio, noiommu, pciFunctions } from "./definitions/vfio.ts";
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
  pciFunctions,
  type1,
  iommufdCompat,
  hotReset,
  configSpace,
  lowPower,
  sriov,
  mdevLifecycle,
  migration,
  sampleDevices,
  driverBinding,
  noiommu,
  allocationFailures,
];

/** The property of that id, or undefined. */
export function findProperty(id: string): Property | undefined {
  return PROPERTIES.find((candidate) => candidate.id === id);
}
