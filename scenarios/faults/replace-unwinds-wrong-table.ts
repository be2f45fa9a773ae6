/** Linux 6.6 to 6.10: a move that is refused gives up what the device keeps reserved where it stays. */
import { Refusal } from "../../model/kernel/clause.ts";
import type { Fault } from "./fault.ts";

export const replaceUnwindsWrongTable: Fault = {
  id: "replace-unwinds-wrong-table",
  title: "a device that can't move to another IOAS no longer keeps anything reserved in its own",
  cites: "950aeefb3492 iommufd/device: Fix hwpt at err_unresv in iommufd_device_do_replace() (6.11)",
  breaks: "refused-no-trace",
  shownBy: "page-tables",
  apply(k) {
    const right = k.iommufdDevice.replaceHwpt;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      *replaceHwpt(kernel, device, hwpt, pasid) {
        const { hwpt: stays, attached } = device.igroup;
        try {
          return yield* right(kernel, device, hwpt, pasid);
        } catch (refusal) {
          if (refusal instanceof Refusal && stays) {
            for (const member of attached) yield* kernel.ioas.unreserve(kernel, stays.paging.ioas, member.device);
          }
          throw refusal;
        }
      },
    };
  },
};
