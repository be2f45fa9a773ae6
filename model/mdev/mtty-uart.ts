/**
 * A port of mtty: a 16550 whose output comes back as its input, with interrupts. Beside handle_bar_write() and
 * handle_bar_read() of samples/vfio-mdev/mtty.c.
 */
import { clauses } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import type { CardIrqs } from "./mtty-irqs.ts";

const source = (name: string) => `samples/vfio-mdev/mtty.c:${name}`;

export const rule = clauses({
  "MTTY-UART-1": {
    rule: "what is sent comes back in the same order, 16 bytes at the most, or one where the FIFO is off",
    source: source("handle_bar_write"),
    observable: "output",
  },
  "MTTY-UART-2": {
    rule: "what is sent to a full FIFO is lost, and the line status says so until there is room again",
    source: source("handle_bar_write"),
    observable: "output",
  },
  "MTTY-UART-3": {
    rule: "identification and status registers tell what the FIFO and the other registers are like",
    source: source("handle_bar_read"),
    observable: "output",
  },
  "MTTY-UART-4": {
    rule: "reading an empty FIFO brings zero",
    source: source("handle_bar_read"),
    observable: "output",
  },
});

const rxtxLock = new LockClass("mdev_state->rxtx_lock");

/** struct serial_port: so many bytes, the same as in a migration stream. */
export const PORT_STATE_SIZE = 36;
const FIFO_SIZE = 16;

/** Where in struct serial_port the members lie; uart_reg is at 0. */
const AT = {
  FIFO: 8,
  HEAD: 24,
  TAIL: 25,
  COUNT: 26,
  DLAB: 27,
  OVERRUN: 28,
  DIVISOR: 30,
  FCR: 32,
  MAX_FIFO: 33,
  TRIGGER: 34,
} as const;

/** Registers by offset: some are one thing to write and another to read. */
const REGISTER = { DATA: 0, IER: 1, FCR: 2, IIR: 2, LCR: 3, MCR: 4, LSR: 5, MSR: 6, SCR: 7 } as const;
const IER = { RDI: 1, THRI: 2, RLSI: 4, MSI: 8 } as const;
const FCR = { ENABLE: 1, CLEAR: 2 | 4 } as const;
const MCR = { DTR_RTS: 3, OUT2: 8, AFE: 0x20 } as const;
const DLAB = 0x80;

export class SerialPort {
  /** The bytes of struct serial_port. */
  readonly image = new Uint8Array(PORT_STATE_SIZE);
  readonly #view = new DataView(this.image.buffer);
  readonly lock = new Lock(rxtxLock);

  constructor() {
    this.image[AT.MAX_FIFO] = FIFO_SIZE;
  }

  #get(at: number): number {
    return this.image[at] ?? 0;
  }

  register(offset: number): number {
    return this.#get(offset);
  }

  setRegister(offset: number, value: number): void {
    this.image[offset] = value;
  }

  /** The divisor latch is in the place of the first two registers. */
  get dlab(): boolean {
    return this.#get(AT.DLAB) !== 0;
  }

  set dlab(on: boolean) {
    this.image[AT.DLAB] = on ? 1 : 0;
  }

  get overrun(): boolean {
    return this.#get(AT.OVERRUN) !== 0;
  }

  set overrun(on: boolean) {
    this.image[AT.OVERRUN] = on ? 1 : 0;
  }

  get divisor(): number {
    return this.#view.getUint16(AT.DIVISOR, true);
  }

  set divisor(value: number) {
    this.#view.setUint16(AT.DIVISOR, value, true);
  }

  /** Bytes in the FIFO. */
  get count(): number {
    return this.#get(AT.COUNT);
  }

  get isFull(): boolean {
    return this.count >= this.#get(AT.MAX_FIFO);
  }

  /** Whether reading and writing would happen at the same place: so it is when nothing is there, and when all is full. */
  get headMeetsTail(): boolean {
    return this.#get(AT.HEAD) === this.#get(AT.TAIL);
  }

  get trigger(): number {
    return this.#get(AT.TRIGGER);
  }

  push(byte: number): void {
    const head = this.#get(AT.HEAD);
    this.image[AT.FIFO + head] = byte;
    this.image[AT.COUNT] = this.count + 1;
    this.image[AT.HEAD] = (head + 1) % FIFO_SIZE;
  }

  pop(): number {
    const tail = this.#get(AT.TAIL);
    this.image[AT.COUNT] = this.count - 1;
    this.image[AT.TAIL] = (tail + 1) % FIFO_SIZE;
    return this.#get(AT.FIFO + tail);
  }

  clear(): void {
    this.image.fill(0, AT.HEAD, AT.COUNT + 1);
  }

  /** FCR: the trigger level is always one byte. */
  setFifoControl(value: number): void {
    this.image[AT.FCR] = value;
    this.image[AT.TRIGGER] = 1;
    this.image[AT.MAX_FIFO] = value & FCR.ENABLE ? FIFO_SIZE : 1;
  }

  /** A number for all that can change. */
  trace(): number {
    let hash = 0;
    for (const byte of this.image) hash = Math.imul(hash ^ byte, 0x01000193);
    return hash;
  }
}

/** Whether so many bytes can be the state of a port: the FIFO lies in its buffer, and what is true or false is that. */
export function isPortState(image: Uint8Array): boolean {
  const below = (at: number, limit: number): boolean => (image[at] ?? 0) < limit;
  const inFifo = below(AT.HEAD, FIFO_SIZE) && below(AT.TAIL, FIFO_SIZE) && below(AT.COUNT, FIFO_SIZE + 1);
  return inFifo && below(AT.DLAB, 2) && below(AT.OVERRUN, 2) && below(AT.MAX_FIFO, FIFO_SIZE + 1);
}

/** What a port needs of its card. */
interface PortOwner {
  readonly interrupts: CardIrqs;
}

export const steps = {
  /** Whether there is nothing to read. */
  isEmpty(port: SerialPort): boolean {
    return port.count === 0;
  },

  /** handle_bar_write */
  *writeRegister(k: Kernel, card: PortOwner, port: SerialPort, offset: number, value: number): Operation<void> {
    const enabled = port.register(REGISTER.IER);
    switch (offset) {
      case REGISTER.DATA:
        if (port.dlab) k.mtty.setDivisor(port, 0, value);
        else yield* k.mtty.send(k, card, port, value);
        break;
      case REGISTER.IER:
        if (port.dlab) {
          k.mtty.setDivisor(port, 8, value);
          break;
        }
        port.setRegister(offset, value);
        if (value & IER.THRI && k.mtty.isEmpty(port)) k.mtty.raise(card.interrupts);
        break;
      case REGISTER.FCR: {
        using _ = yield* k.lock(port.lock);
        if (value & FCR.CLEAR) port.clear();
        port.setFifoControl(value);
        break;
      }
      case REGISTER.LCR:
        port.dlab = (value & DLAB) !== 0;
        if (port.dlab) port.divisor = 0;
        port.setRegister(offset, value);
        break;
      case REGISTER.MCR:
        port.setRegister(offset, value);
        if (!(enabled & IER.MSI)) break;
        if (value & MCR.OUT2) k.mtty.raise(card.interrupts);
        if (value & MCR.DTR_RTS) k.mtty.raise(card.interrupts);
        break;
      case REGISTER.SCR:
        port.setRegister(offset, value);
        break;
    }
  },

  /** One half of the divisor, which begins at bit 0 or 8. */
  setDivisor(port: SerialPort, bit: 0 | 8, value: number): void {
    port.divisor = (port.divisor & ~(0xff << bit)) | (value << bit);
  },

  /** A byte to the transmitter, which is the receiver's too. */
  *send(k: Kernel, card: PortOwner, port: SerialPort, value: number): Operation<void> {
    using _ = yield* k.lock(port.lock);
    const enabled = port.register(REGISTER.IER);
    if (port.isFull) {
      port.overrun = true;
      k.keeps(rule["MTTY-UART-2"]);
      if (enabled & IER.RLSI) k.mtty.raise(card.interrupts);
      return;
    }
    port.push(value);
    port.overrun = false;
    if (enabled & IER.RDI && port.count === port.trigger) k.mtty.raise(card.interrupts);
  },

  /** handle_bar_read */
  *readRegister(k: Kernel, card: PortOwner, port: SerialPort, offset: number): Operation<number> {
    switch (offset) {
      case REGISTER.DATA:
        return port.dlab ? port.divisor & 0xff : yield* k.mtty.receive(k, card, port);
      case REGISTER.IER:
        return port.dlab ? port.divisor >> 8 : port.register(offset) & 0x0f;
      case REGISTER.IIR:
        return k.mtty.identify(k, port);
      case REGISTER.LSR:
        k.keeps(rule["MTTY-UART-3"]);
        return (k.mtty.isEmpty(port) ? 0x60 : 0x01) | (port.overrun ? 0x02 : 0);
      case REGISTER.MSR: {
        k.keeps(rule["MTTY-UART-3"]);
        const clear = (port.register(REGISTER.MCR) & MCR.AFE) === 0 || !port.isFull;
        return 0xa2 | (clear ? 0x11 : 0);
      }
      case REGISTER.LCR:
      case REGISTER.MCR:
      case REGISTER.SCR:
        return port.register(offset);
      default:
        return 0;
    }
  },

  /** A byte from the receiver, 0 where there is none. */
  *receive(k: Kernel, card: PortOwner, port: SerialPort): Operation<number> {
    using _ = yield* k.lock(port.lock);
    const empty = k.mtty.isEmpty(port);
    const byte = empty ? 0 : port.pop();
    k.keeps(rule[empty ? "MTTY-UART-4" : "MTTY-UART-1"]);
    if (k.mtty.isEmpty(port) && port.register(REGISTER.IER) & IER.THRI) k.mtty.raise(card.interrupts);
    return byte;
  },

  /** Interrupt identification. */
  identify(k: Kernel, port: SerialPort): number {
    const enabled = port.register(REGISTER.IER);
    let pending = 0;
    if (enabled & IER.RLSI && port.overrun) pending |= 0x06;
    if (enabled & IER.RDI && port.count >= port.trigger) pending |= 0x04;
    if (enabled & IER.THRI && k.mtty.isEmpty(port)) pending |= 0x02;
    k.keeps(rule["MTTY-UART-3"]);
    return 0xc0 | (pending === 0 ? 0x01 : pending);
  },
};
