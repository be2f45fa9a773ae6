/** In the series for idxd nothing looked at how much of a portal was mapped; the review found it. */
import { must } from "../../model/kernel/clause.ts";
import { rule } from "../../model/mdev/idxd/portal.ts";
import { BAR2_SIZE } from "../../model/mdev/idxd/registers.ts";
import type { Fault } from "./fault.ts";

export const idxdPortalUnsized: Fault = {
  id: "idxd-portal-unsized",
  title: "a guest maps as much as it likes from its portal on, those of other queues with it",
  cites:
    "never merged: Re: [PATCH v5 05/14] vfio/mdev: idxd: add basic mdev registration and helper functions <20210210235924.GJ4247@nvidia.com>",
  breaks: "idxd-portal-own",
  shownBy: "idxd-guests",
  machine: "idxd",
  apply(k) {
    k.idxd = {
      ...k.idxd,
      checkPortal(offset) {
        must(offset < BAR2_SIZE, rule["IDXD-PORTAL-2"]);
      },
    };
  },
};
