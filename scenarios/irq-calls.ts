/** Calls about the interrupts of a PCI function that is open as `@device`, and what its eventfds say. */
import type { Call, Value } from "../model/program.ts";
import { PCI_IRQ } from "../model/vfio/device-info.ts";
import { IRQ_SET } from "../model/vfio/irqs.ts";
import { ioctl, openEventfd, read, throughContainer, write } from "./calls.ts";
import { gives, refused } from "./scenario.ts";

const { INTX } = PCI_IRQ;
const { NONE, BOOL, EVENTFD, UNMASK, TRIGGER } = IRQ_SET;
/** Bytes in front of the data. */
export const HEADER = 20;

/** SET_IRQS without data. */
export const plain = (index: number, action: number, count = 1, start = 0): Call =>
  ioctl("@device", "VFIO_DEVICE_SET_IRQS", { argsz: HEADER, flags: NONE | action, index, start, count });
/** SET_IRQS with one byte for each interrupt, of which the first is the lowest of the number. */
export const bytes = (index: number, action: number, number: number, count = 1): Call =>
  ioctl("@device", "VFIO_DEVICE_SET_IRQS", { argsz: HEADER + 4, flags: BOOL | action, index, count, data: [number] });
/** SET_IRQS with a descriptor for each interrupt. */
export const eventfds = (index: number, action: number, data: readonly Value[], start = 0): Call =>
  ioctl("@device", "VFIO_DEVICE_SET_IRQS", {
    argsz: HEADER + 4 * data.length,
    flags: EVENTFD | action,
    index,
    start,
    count: data.length,
    data,
  });
export const set = (index: number, data: readonly Value[], start = 0): Call => eventfds(index, TRIGGER, data, start);
export const raise = (index: number, count = 1, start = 0): Call => plain(index, TRIGGER, count, start);
export const end = (index: number): Call => plain(index, TRIGGER, 0);
export const unmaskBy = (fd: Value): Call => eventfds(INTX, UNMASK, [fd]);

/** An eventfd was signalled, or was not. */
export const signalled = (fd: Value) => gives(8, read(fd, { count: 8 }));
export const silent = (fd: Value) => refused("EAGAIN", read(fd, { count: 8 }));
export const add = (fd: Value, count: number): Call => write(fd, [count, 0, 0, 0, 0, 0, 0, 0]);

/** An adapter with one MSI vector and five of MSI-X; eventfds `@eventfd` and `@eventfd1`. */
export const adapter = [...throughContainer("nic0.0"), openEventfd(), openEventfd("@eventfd1")];
