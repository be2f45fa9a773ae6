/** A guest of idxd, register by register: what it reads back. */
import { describe, expect, it } from "vitest";
import { ioctlValue } from "../../ioctl-calls.ts";
import { CONTROL, PCI } from "./config-space.ts";
import { COMMAND, HANDLE_IMS, REG, STATE, STATUS, WQ_CONTROL, WQ_WORD } from "./registers.ts";
import { CONFIG, Host } from "./test-guest.ts";

describe("a virtual accelerator", () => {
  it("is an integrated endpoint of Intel's with one queue, whose tables it tells", () => {
    const guest = new Host().guest("vdsa0");
    expect(guest.read(CONFIG, 4).getUint32(0, true)).toBe(0x0b25_8086);
    expect(guest.read(CONFIG + 0x40, 4).getUint32(0, true)).toBe(0x0001_5011);
    expect(guest.register(REG.VERSION)).toBe(0x100);
    expect(guest.register(REG.WQCAP)).toBe(0x0001_0010);
    expect(guest.register(REG.WQCAP + 4)).toBe(1 << 17);
    expect(guest.register(REG.TABLE_OFFSET)).toBe(0x0005_0004);
    expect(guest.register(REG.CMDCAP)).toBe(0x67fe);
    expect(guest.read(REG.GENCAP, 8).getBigUint64(0, true)).toBe(0x00ac_0012n);
  });

  it("tells the sizes of its regions as PCI does", () => {
    const guest = new Host().guest("vdsa0");
    for (const at of [0x10, 0x14, 0x18, 0x1c, 0x20]) guest.configure(at, [255, 255, 255, 255]);
    const bar = (at: number): number => guest.read(CONFIG + at).getUint32(0, true);
    expect([0x10, 0x14, 0x18, 0x1c, 0x20].map(bar)).toEqual([0xffff_e00c, 0xffff_ffff, 0xffff_e00c, 0xffff_ffff, 0]);
    expect(guest.configure(0x10, [0, 0])).toBe("EINVAL");
  });

  it("keeps what the host has set of the queue", () => {
    const guest = new Host().guest("vdsa0");
    const words = (): number[] => Object.values(WQ_WORD).map((at) => guest.register(REG.WQCFG + at));
    const before = words();
    for (const at of Object.values(WQ_WORD)) expect(guest.store(REG.WQCFG + at, 0xffff_ffff)).toBe(4);
    const guests = WQ_CONTROL.PASID_MASK | WQ_CONTROL.PASID_ENABLE | WQ_CONTROL.PRIVILEGED;
    expect(words()).toEqual(before.map((word, i) => (i === 2 ? (word | guests) >>> 0 : word)));
    expect(before[2]).toBe(WQ_CONTROL.DEDICATED | (10 << WQ_CONTROL.PRIORITY_SHIFT));
  });
});

describe("commands", () => {
  it("go by the state of device and queue, the first that is wrong decides", () => {
    const guest = new Host().guest("vdsa0");
    expect(guest.command(31)).toBe(STATUS.INVALID_COMMAND);
    expect(guest.command(0)).toBe(STATUS.INVALID_COMMAND);
    expect(guest.command(COMMAND.DISABLE_DEVICE)).toBe(STATUS.DEVICE_DISABLED);
    expect(guest.command(COMMAND.ENABLE_DEVICE)).toBe(STATUS.NO_BUS_MASTER);
    guest.configure(PCI.COMMAND, [6, 0]);
    guest.configure(CONTROL.PASID, [1, 0]);
    expect(guest.command(COMMAND.ENABLE_DEVICE)).toBe(STATUS.PASID_SETUP);
    guest.configure(CONTROL.PAGE_REQUEST, [1, 0]);
    expect(guest.command(COMMAND.ENABLE_DEVICE)).toBe(STATUS.PASID_SETUP);
    guest.configure(CONTROL.ATS, [0, 0x80]);
    expect(guest.command(COMMAND.ENABLE_WQ, 1)).toBe(STATUS.INVALID_QUEUE);
    expect(guest.command(COMMAND.ENABLE_WQ)).toBe(STATUS.DEVICE_NOT_ENABLED);
    expect(guest.command(COMMAND.ENABLE_DEVICE)).toBe(STATUS.SUCCESS);
    expect(guest.command(COMMAND.ENABLE_DEVICE)).toBe(STATUS.DEVICE_ENABLED);
    expect(guest.register(REG.GENSTS)).toBe(STATE.ENABLED);
    expect(guest.command(COMMAND.DISABLE_WQ, 2)).toBe(STATUS.INVALID_QUEUE);
    expect(guest.command(COMMAND.DISABLE_WQ, 0x1_0001)).toBe(STATUS.INVALID_QUEUE);
    expect(guest.command(COMMAND.RESET_WQ, 1)).toBe(STATUS.QUEUE_NOT_ENABLED);
    guest.store(REG.WQCFG + WQ_WORD.CONTROL, WQ_CONTROL.PASID_ENABLE | (3 << WQ_CONTROL.PASID_SHIFT));
    expect(guest.command(COMMAND.ENABLE_WQ)).toBe(STATUS.PASID_ENABLE);
    guest.store(REG.WQCFG + WQ_WORD.CONTROL, 0);
    expect(guest.command(COMMAND.ENABLE_WQ)).toBe(STATUS.SUCCESS);
    expect(guest.command(COMMAND.ENABLE_WQ)).toBe(STATUS.QUEUE_ENABLED);
    expect(guest.register(REG.WQCFG + WQ_WORD.STATE)).toBe(1 << 30);
    expect(guest.command(COMMAND.RESET_DEVICE)).toBe(STATUS.SUCCESS);
    expect(guest.register(REG.WQCFG + WQ_WORD.STATE)).toBe(0);
    expect(guest.register(REG.GENSTS)).toBe(STATE.DISABLED);
  });

  it("give out handles of the message store, to each guest its own", () => {
    const host = new Host();
    const [one, other] = [host.guest("vdsa0"), host.guest("vdsa1")];
    expect(one.command(COMMAND.RELEASE_INT_HANDLE, 0)).toBe(STATUS.INVALID_HANDLE);
    expect(one.command(COMMAND.REQUEST_INT_HANDLE, 1)).toBe(0 << 8);
    expect(other.command(COMMAND.REQUEST_INT_HANDLE, 1)).toBe(1 << 8);
    expect(one.command(COMMAND.REQUEST_INT_HANDLE, 0)).toBe(STATUS.INVALID_VECTOR);
    expect(one.command(COMMAND.REQUEST_INT_HANDLE, 2)).toBe(STATUS.INVALID_VECTOR);
    expect(one.command(COMMAND.REQUEST_INT_HANDLE, HANDLE_IMS | 1)).toBe(STATUS.NO_HANDLE);
    expect(one.command(COMMAND.RELEASE_INT_HANDLE, 1)).toBe(STATUS.INVALID_HANDLE);
    expect(one.command(COMMAND.RELEASE_INT_HANDLE, 0)).toBe(STATUS.SUCCESS);
    expect(one.command(COMMAND.RELEASE_INT_HANDLE, 0)).toBe(STATUS.INVALID_HANDLE);
  });

  it("all end in an error once the device has lost the bus", () => {
    const guest = new Host().guest("vdsa0").start();
    guest.configure(PCI.COMMAND, [2, 0]);
    expect(guest.register(REG.GENSTS) & 3).toBe(STATE.HALT);
    expect(guest.register(REG.SWERR)).toBe(0x5101);
    expect(guest.command(COMMAND.RESET_DEVICE)).toBe(STATUS.HARDWARE_ERROR);
    expect(guest.host.does(ioctlValue(guest.fd, "VFIO_DEVICE_RESET"))).toBe(0);
    expect(guest.register(REG.GENSTS)).toBe(STATE.DISABLED);
  });
});
