/** Page faults that wait for an answer, before the code was reworked. */
import { type Deviation, Ruined } from "./deviation.ts";

/** sizeof(struct iommu_hwpt_pgfault) */
const MESSAGE_SIZE = 40;

export const faultReadLoops: Deviation = {
  id: "fault-read-loops",
  title:
    "a read of a fault queue into memory that can't be written never comes back: the kernel tries the same fault without end",
  clause: "IOMMUFD-FAULTQ-6",
  since: "6.11",
  until: "7.1",
  source: "drivers/iommu/iommufd/fault.c:iommufd_fault_fops_read",
  upstream: "172fc8b19825 iommufd: Break the loop on failure in iommufd_fault_fops_read()",
  evidence: "fault-read-loops",
  destructive: true,
  apply(k) {
    const right = k.iommufdDevice.readFaults;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      *readFaults(kernel, queue, io) {
        const messages = Math.min(queue.deliver.length, Math.floor(io.count / MESSAGE_SIZE));
        if (io.count % MESSAGE_SIZE === 0 && messages * MESSAGE_SIZE > io.block.writable) {
          throw new Ruined("an endless loop", "fault-read-loops");
        }
        return yield* right(kernel, queue, io);
      },
    };
  },
};

export const faultReplaceKeeps: Deviation = {
  id: "fault-replace-keeps",
  title:
    "faults of a device that moves to a page table with another fault queue, or none, stay in the old queue: reading them follows an attachment that was freed",
  clause: "IOMMUFD-FAULTQ-15",
  since: "6.11",
  until: "7.1",
  source: "drivers/iommu/iommufd/device.c:iommufd_hwpt_replace_device",
  upstream: "iommufd_hwpt_replace_device() of 7.2 answers the faults of the page table that is left",
  evidence: "fault-replace-keeps",
  destructive: true,
  apply(k) {
    const right = k.iommufdDevice.replaceHwpt;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      *replaceHwpt(kernel, device, hwpt, pasid) {
        const { igroup } = device;
        const queue = igroup.attachments.get(pasid)?.hwpt.fault;
        if (queue && queue !== hwpt.fault && queue.hasFaultsOf(igroup, pasid)) {
          throw new Ruined("faults of an attachment that is gone", "fault-replace-keeps");
        }
        return yield* right(kernel, device, hwpt, pasid);
      },
    };
  },
};
