/** Goals about what lies behind the regions of functions. */
import { handleKind } from "../../model/handles.ts";
import type { Call } from "../../model/program.ts";
import { ERRNO, SIGNAL } from "../../model/uapi/errno.ts";
import { PCI_REGION, REGION_SIZE } from "../../model/vfio/device-info.ts";
import type { Goal } from "../coverage.ts";
import { ioctlEnded } from "./ended.ts";

/** Whether a call moves data between a BAR and the caller. */
function movesBar(call: Call, op: "pread" | "pwrite"): boolean {
  return (
    call.op === op &&
    typeof call.fd === "string" &&
    handleKind(call.fd) === "device" &&
    typeof call.offset !== "string" &&
    Number(call.offset) < PCI_REGION.ROM * REGION_SIZE
  );
}

function bar(id: string, title: string, op: "pread" | "pwrite", ended: (ret: number) => boolean): Goal {
  return { id, title, needs: {}, reached: (call, { ret }) => movesBar(call, op) && ended(ret) };
}

function accessed(id: string, title: string, op: "load" | "store", ended: (ret: number) => boolean): Goal {
  return { id, title, needs: {}, reached: (call, { ret }) => call.op === op && ended(ret) };
}

const IOEVENTFD = "VFIO_DEVICE_IOEVENTFD";
const bus = (ret: number): boolean => ret === -SIGNAL.SIGBUS;
const some = (ret: number): boolean => ret > 0;
const disabled = (ret: number): boolean => ret === -ERRNO.EIO;

export const REGION_GOALS: readonly Goal[] = [
  bar("bar-read", "a BAR was read", "pread", some),
  bar("bar-written", "a BAR was written", "pwrite", some),
  bar("bar-read-disabled", "a BAR was to be read whose memory does not answer", "pread", disabled),
  bar("bar-write-disabled", "a BAR was to be written whose memory does not answer", "pwrite", disabled),
  {
    id: "bar-mapped",
    title: "a BAR was mapped",
    needs: {},
    reached: (call, { ret }) => call.op === "mmap" && ret > 0,
  },
  accessed("mapping-loaded", "something was loaded from a mapping", "load", (ret) => ret === 0),
  accessed("mapping-stored", "something was stored to a mapping", "store", (ret) => ret === 0),
  accessed("mapping-faulted", "a mapping was accessed whose memory does not answer", "load", bus),
  ioctlEnded("ioeventfd-set", "an eventfd was to write to a BAR", IOEVENTFD, 0),
  ioctlEnded("ioeventfd-twice", "an eventfd was to write to a BAR what another does", IOEVENTFD, "EEXIST"),
  ioctlEnded("ioeventfd-none", "a write that was not set up was to be taken back", IOEVENTFD, "ENODEV"),
  {
    id: "interrupt-arrived",
    title: "an interrupt was counted",
    needs: {},
    reached: (call, { ret }) =>
      call.op === "read" && typeof call.fd === "string" && handleKind(call.fd) === "eventfd" && ret > 0,
  },
];
