/** The buffer of QEMU's device for teaching, from which and to which it copies memory. */
import { Unmodelled } from "../kernel/operation.ts";
import type { MemoryBus } from "./hardware.ts";

/** What the device is to copy: one end is an address on the bus, the other a place in its buffer. */
export interface Transfer {
  readonly source: bigint;
  readonly destination: bigint;
  readonly count: bigint;
  readonly toMemory: boolean;
}

/** Bits of an address that the device puts on the bus; those above are dropped. */
const ADDRESS_MASK = (1n << 28n) - 1n;

export class EduBuffer {
  /** Where the device has it. */
  static readonly AT = 0x4_0000;
  static readonly SIZE = 4096;
  /** Bytes of the longest copy: releases of QEMU take none that reaches the buffer's end. */
  static readonly MOST = EduBuffer.SIZE - 1;

  readonly #bytes = new Uint8Array(EduBuffer.SIZE);
  /** A number for what it holds; 0 as long as that is nothing. */
  trace = 0;

  /** Whatever leaves the buffer ends QEMU, and nobody knows what others would make of it. */
  foresee(transfer: Transfer, bus: MemoryBus): void {
    const { at, address, count } = placesOf(transfer);
    if (count <= 0n || at < 0n || at + count >= EduBuffer.SIZE) throw new Unmodelled("a copy that leaves the buffer");
    bus.foresee(address, Number(count));
  }

  copy(transfer: Transfer, bus: MemoryBus): void {
    const { at, address, count } = placesOf(transfer);
    const [from, length] = [Number(at), Number(count)];
    if (transfer.toMemory) {
      bus.write(address, this.#bytes.slice(from, from + length));
      return;
    }
    this.#bytes.set(bus.read(address, length), from);
    this.trace = this.#bytes.reduce((hash, byte, place) => (byte === 0 ? hash : (hash + byte * (place + 1)) | 0), 0);
  }
}

/** The two ends of a copy, and its length. */
function placesOf({ source, destination, count, toMemory }: Transfer) {
  const [inside, outside] = toMemory ? [source, destination] : [destination, source];
  return { at: inside - BigInt(EduBuffer.AT), address: outside & ADDRESS_MASK, count };
}
