/** Features of a device: what vfio-pci and mtty answer, in the order of their checks. */
import type { Call, Fields, Place } from "../model/program.ts";
import { FEATURE, FEATURE_INDEX } from "../model/vfio/feature.ts";
import { ioctl, openEventfd, throughContainer } from "./calls.ts";
import { LEGACY } from "./needs.ts";
import { refused, type Scenario, scenario } from "./scenario.ts";

const MIGRATION = { since: "6.7", kconfig: ["VFIO_GROUP", "VFIO_CONTAINER", "VFIO_MDEV"] } as const;
const { GET, SET, PROBE } = FEATURE;

/** A feature by its name, with its data; argsz is what the data takes. */
const feature = (
  name: keyof typeof FEATURE_INDEX,
  how: number,
  dataSize: number,
  fields: Fields = {},
  place?: Place,
): Call =>
  ioctl(
    "@device",
    `VFIO_DEVICE_FEATURE_${name}`,
    { argsz: 8 + dataSize, flags: how | FEATURE_INDEX[name], ...fields },
    place === undefined ? {} : { place },
  );

const HEADER = 8;
const range = { iova_0: 0, length_0: 4096 };
const control = { page_size: 4096, num_ranges: 1, ranges: { fields: range } };
const report = { iova: 0, length: 4096, page_size: 4096, bitmap: { fields: {} } };

export const FEATURES: readonly Scenario[] = [
  scenario({
    id: "features-of-a-function",
    title: "a PCI function has features of its own, and none of migration",
    needs: LEGACY,
    steps: [
      ...throughContainer("edu0"),
      refused("ENOTTY", feature("MIGRATION", PROBE, 0)),
      refused("ENOTTY", feature("PCI_VF_TOKEN", SET, 16)),
      feature("LOW_POWER_ENTRY", PROBE | SET, 0),
      refused("EINVAL", feature("LOW_POWER_ENTRY", GET, 0)),
      feature("LOW_POWER_ENTRY", SET, 0),
      refused("EINVAL", feature("LOW_POWER_ENTRY", SET, 0)),
      feature("LOW_POWER_EXIT", SET, 0),
      feature("LOW_POWER_EXIT", SET, 0),
    ],
  }),
  scenario({
    id: "wakeup-needs-an-eventfd",
    title: "low power that is to end in a wakeup takes an eventfd",
    needs: LEGACY,
    steps: [
      ...throughContainer("edu0"),
      refused("EINVAL", feature("LOW_POWER_ENTRY_WITH_WAKEUP", SET, 4)),
      refused("EFAULT", feature("LOW_POWER_ENTRY_WITH_WAKEUP", SET, 8, { wakeup_eventfd: -1 }, HEADER)),
      refused("EINVAL", feature("LOW_POWER_ENTRY_WITH_WAKEUP", SET, 8, { wakeup_eventfd: -1 })),
      refused("EBADF", feature("LOW_POWER_ENTRY_WITH_WAKEUP", SET, 8, { wakeup_eventfd: 900 })),
      refused("EINVAL", feature("LOW_POWER_ENTRY_WITH_WAKEUP", SET, 8, { wakeup_eventfd: "@group" })),
    ],
  }),
  scenario({
    id: "dma-buf-refusals",
    title: "a DMA buffer is made of ranges of a BAR that the function has",
    needs: { ...LEGACY, since: "6.19", kconfig: [...LEGACY.kconfig, "VFIO_PCI_DMABUF"] },
    steps: [
      ...throughContainer("edu0"),
      refused("EINVAL", feature("DMA_BUF", SET, 32)),
      refused("EFAULT", feature("DMA_BUF", GET, 32, { nr_ranges: 1 }, HEADER)),
      refused("EINVAL", feature("DMA_BUF", GET, 32, { nr_ranges: 0 })),
      refused("ENODEV", feature("DMA_BUF", GET, 32, { nr_ranges: 1, region_index: 7 })),
    ],
  }),
  scenario({
    id: "migration-data",
    title: "data of the features of migration must be where the caller says",
    needs: MIGRATION,
    steps: [
      ...throughContainer("mtty0"),
      feature("MIGRATION", GET, 8),
      refused("EFAULT", feature("MIGRATION", GET, 8, {}, "readonly")),
      feature("MIG_DATA_SIZE", GET, 8),
      refused("EFAULT", feature("MIG_DATA_SIZE", GET, 8, {}, HEADER)),
      refused("EFAULT", feature("MIG_DEVICE_STATE", GET, 8, {}, HEADER)),
      refused("EFAULT", feature("MIG_DEVICE_STATE", GET, 8, {}, "readonly")),
      feature("MIG_DEVICE_STATE", SET, 8, { device_state: 2 }),
    ],
  }),
  scenario({
    id: "dma-logging",
    title: "logging is started for ranges that a device can have, and reported page by page",
    needs: { ...MIGRATION, kconfig: [...MIGRATION.kconfig, "IOMMUFD"] },
    steps: [
      ...throughContainer("mtty0"),
      refused("EFAULT", feature("DMA_LOGGING_START", SET, 24, control, HEADER)),
      refused("EINVAL", feature("DMA_LOGGING_START", SET, 24, { ...control, num_ranges: 0 })),
      refused("E2BIG", feature("DMA_LOGGING_START", SET, 24, { ...control, num_ranges: 257 })),
      refused("EFAULT", feature("DMA_LOGGING_START", SET, 24, { ...control, ranges: 0 })),
      refused("EINVAL", feature("DMA_LOGGING_START", SET, 24, { ...control, page_size: 8192 })),
      refused(
        "EOVERFLOW",
        feature("DMA_LOGGING_START", SET, 24, {
          ...control,
          ranges: { fields: { iova_0: 0xffff_ffff_ffff_f000n, length_0: 4096 } },
        }),
      ),
      refused(
        "EINVAL",
        feature("DMA_LOGGING_START", SET, 24, {
          ...control,
          num_ranges: 2,
          ranges: { fields: { ...range, iova_1: 0, length_1: 8192 } },
        }),
      ),
      refused("EFAULT", feature("DMA_LOGGING_START", SET, 24, control, "readonly")),
      feature("DMA_LOGGING_START", SET, 24, control),
      refused("EFAULT", feature("DMA_LOGGING_REPORT", GET, 32, report, HEADER)),
      refused("EINVAL", feature("DMA_LOGGING_REPORT", GET, 32, { ...report, page_size: 2048 })),
      refused("EOVERFLOW", feature("DMA_LOGGING_REPORT", GET, 32, { ...report, iova: 0xffff_ffff_ffff_f000n })),
      feature("DMA_LOGGING_REPORT", GET, 32, report),
      feature("DMA_LOGGING_STOP", SET, 0),
    ],
  }),
  scenario({
    id: "wakeup-eventfd-probe",
    title: "a probe needs no data, and looks at none",
    needs: LEGACY,
    steps: [...throughContainer("edu0"), openEventfd(), feature("LOW_POWER_ENTRY_WITH_WAKEUP", PROBE | SET, 0)],
  }),
];
