/**
 * Where the rules of idxd's mediated devices are written. No kernel has them: they were proposed on the lists in six versions
 * from April 2020 to May 2021, and the driver of today goes without. Mails are cited by what their headers say.
 */

const mail = (subject: string, id: string): string => `${subject} <${id}>`;
const patch = (subject: string, id: string): string => mail(subject, `${id}.stgit@djiang5-desk3.ch.intel.com`);

/** Reading and writing configuration space and registers. */
export const RW_MAIL = patch(
  "[PATCH RFC v2 10/18] dmaengine: idxd: add emulation rw routines",
  "159534740139.28840.8782422568949418156",
);
/** The host's errors in the guest. */
export const ERROR_MAIL = patch(
  "[PATCH v4 17/17] dmaengine: idxd: add error notification from host driver to mediated device",
  "160408396666.912050.13272769874427386756",
);
/** Regions, portals, interrupts. */
export const DEVICE_MAIL = patch(
  "[PATCH v5 05/14] vfio/mdev: idxd: add basic mdev registration and helper functions",
  "161255840486.339900.5478922203128287192",
);
/** Types and their instances. */
export const TYPE_MAIL = patch(
  "[PATCH v5 07/14] vfio/mdev: idxd: add 1dwq-v1 mdev type",
  "161255841792.339900.13314425685185083794",
);
/** Commands. */
export const COMMAND_MAIL = patch(
  "[PATCH v5 10/14] vfio/mdev: idxd: virtual device commands emulation",
  "161255843743.339900.10371190228025336137",
);
/** What the review found in regions, portals and interrupts. */
export const REVIEW_MAIL = mail(
  "Re: [PATCH v5 05/14] vfio/mdev: idxd: add basic mdev registration and helper functions",
  "20210210235924.GJ4247@nvidia.com",
);
/** Where the line was drawn: what a char device with SVA can do, and what takes VFIO. */
export const LINE_MAIL = mail(
  "Re: [PATCH RFC 00/15] Add VFIO mediated device support and IMS support for the idxd driver.",
  "20200423191217.GD13640@mellanox.com",
);
/** Why the kernel mediates at all: access that must be trusted. */
export const MEDIATION_MAIL = mail(
  "Re: [PATCH RFC 00/15] Add VFIO mediated device support and IMS support for the idxd driver.",
  "20200427081841.18c4a994@x1.home",
);

/** A part of Intel's Data Streaming Accelerator Architecture Specification. */
export const spec = (part: string): string => `Intel Data Streaming Accelerator Architecture Specification, ${part}`;
/** A register of it, by the kernel's name. */
export const register = (name: string): string => `drivers/dma/idxd/registers.h:${name}`;
export const sysfsSource = (name: string): string => `drivers/dma/idxd/sysfs.c:${name}`;

/** Every clause about it: only the model has such a machine. */
export const IDXD = { machine: "idxd" } as const;
