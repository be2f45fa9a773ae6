/** Calls on the BARs of a PCI function, as scenarios write them, and the registers of QEMU's device for teaching. */
import { Edu } from "../model/pci/edu.ts";
import type { Call, Place, Value } from "../model/program.ts";
import { PCI_REGION, REGION_SIZE } from "../model/vfio/device-info.ts";
import { openEventfd, throughContainer } from "./calls.ts";
import { inRegion, writeConfig } from "./config-calls.ts";

export const REGISTER = Edu.REGISTER;
export const [BAR0, BAR2, BAR3] = [0, 2, 3];
export const { ROM, VGA } = PCI_REGION;
/** Bytes of edu's BAR. */
export const EDU_SIZE = 0x100000;
export const ALL = 0xffff_ffff;

/** `place` where the buffer is not in plain memory. */
export const readBar = (bar: number, at: number, count: number, place?: Place): Call => ({
  op: "pread",
  fd: "@device",
  count,
  offset: inRegion(bar, at),
  ...(place === undefined ? {} : { place }),
});

export const writeBar = (bar: number, at: number, bytes: readonly number[], place?: Place): Call => ({
  op: "pwrite",
  fd: "@device",
  count: bytes.length,
  offset: inRegion(bar, at),
  bytes,
  ...(place === undefined ? {} : { place }),
});

/** Four bytes, or eight, the lowest first. */
export const bytesOf = (value: number, width: 4 | 8 = 4): number[] =>
  Array.from({ length: width }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff);

/** A register of edu, read or written at once. */
export const readRegister = (at: number): Call => readBar(BAR0, at, 4);
export const writeRegister = (at: number, value: number): Call => writeBar(BAR0, at, bytesOf(value));
/** Has edu ask for an interrupt. */
export const interrupt = (bits = 1): Call => writeRegister(REGISTER.INTERRUPT_RAISE, bits);
/** Has edu take it back. */
export const acknowledge = (bits = ALL): Call => writeRegister(REGISTER.INTERRUPT_ACKNOWLEDGE, bits);

/** The command register's lower byte: I/O, memory, bus master. */
export const command = (bits: number, fd: Value = "@device"): Call => writeConfig(4, [bits], fd);
export const [MEMORY_OFF, MEMORY_ON, MASTER_ON] = [1, 3, 7];
/** The command register, with the bit that disables INTx or without it. */
export const disableIntx = (disabled: boolean): Call => writeConfig(4, [3, disabled ? 4 : 0]);

/** edu, open, with eventfds `@eventfd` and `@eventfd1`. */
export const edu = [...throughContainer("edu0"), openEventfd(), openEventfd("@eventfd1")];

/** Behind all regions. */
export const NO_REGION = 9 * REGION_SIZE;
