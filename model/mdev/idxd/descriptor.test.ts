/** What descriptors of guests of idxd do, and how that is told. */
import { describe, expect, it } from "vitest";
import { MEMORY } from "../../kernel/memory-map.ts";
import { CONTROL } from "./config-space.ts";
import { COMPLETION, FLAG } from "./descriptor.ts";
import { encode } from "./encode.ts";
import { OPERATION } from "./mmio.ts";
import { REG, WQ_CONTROL, WQ_WORD } from "./registers.ts";
import { Host, PORTALS, SHARED } from "./test-guest.ts";

describe("descriptors", () => {
  it("move and fill memory that is mapped for the guest, and tell how far they came", () => {
    const guest = new Host().guest("vdsa0").start();
    const fill = { operation: OPERATION.MEMFILL, source: 0x1122_3344n, destination: 0x10n, size: 16 };
    expect(guest.submit(fill)).toEqual({ status: COMPLETION.SUCCESS, bytes: 16 });
    const move = { operation: OPERATION.MEMMOVE, source: 0x10n, destination: 0x1ff8n, size: 16 };
    expect(guest.submit(move)).toEqual({ status: COMPLETION.PAGE_FAULT | COMPLETION.WRITE, bytes: 8 });
    const { content } = guest.host.machine.k.mm;
    expect([...content.read(MEMORY.user + 0x1ff8n, 8)]).toEqual([0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0]);
    expect(guest.submit({ ...move, source: 0x1_0000n })).toEqual({ status: COMPLETION.PAGE_FAULT, bytes: 0 });
  });

  it("are refused for what the host does not give", () => {
    const guest = new Host().guest("vdsa0").start();
    expect(guest.submit({ operation: 2 }).status).toBe(COMPLETION.BAD_OPERATION);
    expect(guest.submit({ flags: FLAG.BLOCK_ON_FAULT }).status).toBe(COMPLETION.INVALID_FLAGS);
    expect(guest.submit({ operation: OPERATION.MEMFILL, size: 4097 }).status).toBe(COMPLETION.TRANSFER_SIZE);
    expect(guest.submit({ flags: FLAG.INTERRUPT }).status).toBe(COMPLETION.INVALID_HANDLE);
  });

  it("block on a fault where queue and device may, and are answered that there is no page", () => {
    const host = new Host();
    host.guest("vdsa1");
    const guest = host.guest("vdsa0");
    guest.configure(CONTROL.ATS, [0, 0x80]);
    guest.configure(CONTROL.PAGE_REQUEST, [1, 0]);
    guest.configure(CONTROL.PASID, [1, 0]);
    guest.store(REG.WQCFG + WQ_WORD.CONTROL, WQ_CONTROL.BLOCK_ON_FAULT);
    guest.start();
    const beyond = { operation: OPERATION.MEMFILL, destination: 0x1_0000n, size: 8 };
    expect(guest.submit({ ...beyond, flags: FLAG.BLOCK_ON_FAULT }).status).toBe(
      COMPLETION.PAGE_FAULT_ANSWERED | COMPLETION.WRITE,
    );
    expect(guest.submit(beyond).status).toBe(COMPLETION.PAGE_FAULT | COMPLETION.WRITE);
  });

  it("tell an error to the guest alone that made it, as its own first queue's", () => {
    const host = new Host();
    const [one, other] = [host.guest("vdsa0", SHARED), host.guest("vdsa1", SHARED)];
    one.configure(CONTROL.ATS, [0, 0x80]);
    one.configure(CONTROL.PAGE_REQUEST, [1, 0]);
    one.configure(CONTROL.PASID, [1, 0]);
    one.start();
    const bytes = encode({ operation: 2 });
    host.does({ op: "pwrite", fd: one.fd, count: 64, offset: PORTALS, bytes });
    expect(one.read(REG.SWERR, 8).getBigUint64(0, true)).toBe(0x0000_0002_0000_100dn);
    expect(other.register(REG.SWERR)).toBe(0);
    host.does({ op: "pwrite", fd: one.fd, count: 64, offset: PORTALS, bytes });
    expect(one.register(REG.SWERR)).toBe(0x100f);
  });
});
