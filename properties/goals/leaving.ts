/** Goals about devices that leave. */
import type { Goal } from "../coverage.ts";

export const LEAVING_GOALS: readonly Goal[] = [
  {
    id: "function-removed",
    title: "a function was taken off the bus",
    reached: (call, { ret }) =>
      call.op === "sysfs-write" && call.attribute.kind === "pci-device" && call.attribute.file === "remove" && ret > 0,
  },
  {
    id: "left-while-open",
    title: "a device was taken away while it was open",
    reached: (call, { ret }) => call.op === "start" && ret === 1,
  },
  {
    id: "let-go",
    title: "what took a device away was over once it was closed",
    reached: (call, { ret }) => call.op === "join" && ret > 0,
  },
];
