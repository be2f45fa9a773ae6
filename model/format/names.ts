/**
 * What the uAPI headers call values that layouts only know as numbers: flags that the kernel answers with, types,
 * indexes. For printing only; the model never asks here.
 */

/** Names of a number's bits, or of whole values. */
export type Names =
  | { readonly kind: "bits"; readonly names: Readonly<Record<string, number>> }
  | { readonly kind: "values"; readonly names: Readonly<Record<string, number>> };

const bits = (names: Readonly<Record<string, number>>): Names => ({ kind: "bits", names });
const values = (names: Readonly<Record<string, number>>): Names => ({ kind: "values", names });

/** Extensions of a container, of which some can be set as its IOMMU (vfio.h). */
const EXTENSIONS = values({
  VFIO_TYPE1_IOMMU: 1,
  VFIO_SPAPR_TCE_IOMMU: 2,
  VFIO_TYPE1v2_IOMMU: 3,
  VFIO_DMA_CC_IOMMU: 4,
  VFIO_EEH: 5,
  VFIO_TYPE1_NESTING_IOMMU: 6,
  VFIO_SPAPR_TCE_v2_IOMMU: 7,
  VFIO_NOIOMMU_IOMMU: 8,
  VFIO_UNMAP_ALL: 9,
  VFIO_UPDATE_VADDR: 10,
});

const KVM_DEVICE_ATTR = {
  group: values({ KVM_DEV_VFIO_FILE: 1 }),
  attr: values({ KVM_DEV_VFIO_FILE_ADD: 1, KVM_DEV_VFIO_FILE_DEL: 2, KVM_DEV_VFIO_GROUP_SET_SPAPR_TCE: 3 }),
};

/** Interrupts of PCI devices (vfio.h). */
const IRQ_INDEX = values({
  VFIO_PCI_INTX_IRQ_INDEX: 0,
  VFIO_PCI_MSI_IRQ_INDEX: 1,
  VFIO_PCI_MSIX_IRQ_INDEX: 2,
  VFIO_PCI_ERR_IRQ_INDEX: 3,
  VFIO_PCI_REQ_IRQ_INDEX: 4,
});

/** By ioctl: names for an argument that is passed by value. */
const OF_ARGUMENT: Readonly<Record<string, Names>> = {
  VFIO_CHECK_EXTENSION: EXTENSIONS,
  VFIO_SET_IOMMU: EXTENSIONS,
  KVM_CHECK_EXTENSION: values({ KVM_CAP_DEVICE_CTRL: 89 }),
};

/** By struct: names for its fields. */
const OF_FIELD: Readonly<Record<string, Readonly<Record<string, Names>>>> = {
  vfio_group_status: { flags: bits({ VIABLE: 1, CONTAINER_SET: 2 }) },
  vfio_device_info: {
    flags: bits({ RESET: 1, PCI: 2, PLATFORM: 4, AMBA: 8, CCW: 16, AP: 32, FSL_MC: 64, CAPS: 128, CDX: 256 }),
  },
  vfio_region_info: {
    flags: bits({ READ: 1, WRITE: 2, MMAP: 4, CAPS: 8 }),
    index: values({
      VFIO_PCI_BAR0_REGION_INDEX: 0,
      VFIO_PCI_BAR1_REGION_INDEX: 1,
      VFIO_PCI_BAR2_REGION_INDEX: 2,
      VFIO_PCI_BAR3_REGION_INDEX: 3,
      VFIO_PCI_BAR4_REGION_INDEX: 4,
      VFIO_PCI_BAR5_REGION_INDEX: 5,
      VFIO_PCI_ROM_REGION_INDEX: 6,
      VFIO_PCI_CONFIG_REGION_INDEX: 7,
      VFIO_PCI_VGA_REGION_INDEX: 8,
    }),
  },
  vfio_irq_info: {
    flags: bits({ EVENTFD: 1, MASKABLE: 2, AUTOMASKED: 4, NORESIZE: 8 }),
    index: IRQ_INDEX,
  },
  vfio_irq_set: {
    flags: bits({
      DATA_NONE: 1,
      DATA_BOOL: 2,
      DATA_EVENTFD: 4,
      ACTION_MASK: 8,
      ACTION_UNMASK: 16,
      ACTION_TRIGGER: 32,
    }),
    index: IRQ_INDEX,
  },
  vfio_device_feature_mig_device_state: {
    device_state: values({
      VFIO_DEVICE_STATE_ERROR: 0,
      VFIO_DEVICE_STATE_STOP: 1,
      VFIO_DEVICE_STATE_RUNNING: 2,
      VFIO_DEVICE_STATE_STOP_COPY: 3,
      VFIO_DEVICE_STATE_RESUMING: 4,
      VFIO_DEVICE_STATE_RUNNING_P2P: 5,
      VFIO_DEVICE_STATE_PRE_COPY: 6,
      VFIO_DEVICE_STATE_PRE_COPY_P2P: 7,
    }),
  },
  vfio_device_feature_migration: { capabilities: bits({ STOP_COPY: 1, P2P: 2, PRE_COPY: 4 }) },
  vfio_pci_hot_reset_info: { flags: bits({ DEV_ID: 1, DEV_ID_OWNED: 2 }) },
  iommu_vfio_ioas: { op: values({ IOMMU_VFIO_IOAS_GET: 0, IOMMU_VFIO_IOAS_SET: 1, IOMMU_VFIO_IOAS_CLEAR: 2 }) },
  iommu_option: {
    option_id: values({ IOMMU_OPTION_RLIMIT_MODE: 0, IOMMU_OPTION_HUGE_PAGES: 1 }),
    op: values({ IOMMU_OPTION_OP_SET: 0, IOMMU_OPTION_OP_GET: 1 }),
  },
  kvm_create_device: { type: values({ KVM_DEV_TYPE_VFIO: 4 }) },
  kvm_device_attr: KVM_DEVICE_ATTR,
};

/** Names for the by-value argument of an ioctl, or undefined. */
export function namesOfArgument(request: string): Names | undefined {
  return OF_ARGUMENT[request];
}

/** Bits of every feature's flags, beside its number. */
const FEATURE_FLAGS = bits({
  VFIO_DEVICE_FEATURE_GET: 1 << 16,
  VFIO_DEVICE_FEATURE_SET: 1 << 17,
  VFIO_DEVICE_FEATURE_PROBE: 1 << 18,
});

/** Names for a field of a struct, or undefined. */
export function namesOfField(struct: string, field: string): Names | undefined {
  if (field === "flags" && struct.startsWith("vfio_device_feature")) return FEATURE_FLAGS;
  return OF_FIELD[struct]?.[field];
}

/**
 * A number by its names: `VIABLE|CONTAINER_SET`, bits without a name in hexadecimal behind the others; undefined where
 * names say nothing of it.
 */
export function named(value: number, names: Names): string | undefined {
  if (names.kind === "values") return Object.entries(names.names).find(([, known]) => known === value)?.[0];
  if (value === 0) return undefined;
  const parts: string[] = [];
  let rest = BigInt.asUintN(32, BigInt(value));
  for (const [name, bit] of Object.entries(names.names)) {
    if ((rest & BigInt(bit)) === 0n) continue;
    parts.push(name);
    rest &= ~BigInt(bit);
  }
  if (rest !== 0n) parts.push(`0x${rest.toString(16)}`);
  return parts.join("|");
}
