/** Reads, writes and mappings of a virtual accelerator: mostly what a guest's driver does next, and what a VMM submits for it. */

import { IoPagetable } from "../../model/iommufd/io-pagetable.ts";
import { PAGE } from "../../model/kernel/memory-map.ts";
import { CONTROL, enabled, PCI } from "../../model/mdev/idxd/config-space.ts";
import { DESCRIPTOR, FLAG } from "../../model/mdev/idxd/descriptor.ts";
import { encode } from "../../model/mdev/idxd/encode.ts";
import { OPERATION } from "../../model/mdev/idxd/mmio.ts";
import {
  CMD,
  COMMAND,
  GENCTRL,
  MSIX_CONTROL,
  MSIX_PERM,
  REG,
  STATE,
  SWERR_SIZE,
  WQ_CONTROL,
  WQ_STATE_MASK,
  WQ_WORD,
  WQCFG_SIZE,
} from "../../model/mdev/idxd/registers.ts";
import type { VirtualDsa } from "../../model/mdev/idxd/virtual-device.ts";
import type { Call } from "../../model/program.ts";
import type { VfioDevice } from "../../model/vfio/device.ts";
import { REGION_SIZE } from "../../model/vfio/device-info.ts";
import { type Dice, oneIn, pick } from "./dice.ts";

/** A place and what is moved there, as in transfers.ts. */
interface Move {
  readonly offset: number;
  readonly count: number;
  readonly bytes?: readonly number[];
}

const PORTALS = 2 * REGION_SIZE;
const CONFIG = 7 * REGION_SIZE;
const word = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
const store = (at: number, value: number): Move => ({ offset: at, count: 4, bytes: word(value) });
const configure = (at: number, bytes: readonly number[]): Move => ({ offset: CONFIG + at, count: bytes.length, bytes });

/** One access of a device that is open. */
export function inVirtualDsa(dice: Dice, device: VfioDevice, ops: VirtualDsa): Move {
  switch (dice.roll(12)) {
    case 10:
    case 11:
      return look(dice);
    case 0:
      return command(dice, COMMAND_CODES[dice.roll(COMMAND_CODES.length)] ?? 0);
    case 1:
      return register(dice);
    case 2:
      return inConfig(dice);
    case 3:
      return oneIn(dice, 3) ? elsewhere(dice) : portalRead(dice);
    case 4:
      return setUp(dice);
    default:
      return nextStep(dice, device, ops);
  }
}

/** Commands there are, and some that there are not. */
const COMMAND_CODES = [...Object.values(COMMAND), ...Object.values(COMMAND), 0, 11, 15, 31];

function command(dice: Dice, code: number): Move {
  const aboutQueues = code >= COMMAND.DISABLE_WQ && code <= COMMAND.RESET_WQ;
  const aboutHandles = code === COMMAND.REQUEST_INT_HANDLE;
  const usual = aboutQueues || aboutHandles ? 1 : code === COMMAND.RELEASE_INT_HANDLE ? dice.roll(3) : 0;
  const operand = oneIn(dice, 4) ? pick(dice, [0, 1, 2, 3, 0x1_0001, 0xf_ffff]) : usual;
  return store(REG.CMD, (code << CMD.SHIFT) | operand | (oneIn(dice, 2) ? CMD.INTERRUPT : 0));
}

/** What brings the device nearer to work; once it is there, a descriptor. */
function nextStep(dice: Dice, device: VfioDevice, ops: VirtualDsa): Move {
  if (!enabled.busMaster(ops.config)) return configure(PCI.COMMAND, [6, 0]);
  if (ops.state === STATE.DISABLED) return command(dice, COMMAND.ENABLE_DEVICE);
  const isRunning = ops.registers.getUint32(REG.WQCFG + WQ_WORD.STATE, true) & WQ_STATE_MASK;
  if (!isRunning && !oneIn(dice, 4)) return command(dice, COMMAND.ENABLE_WQ);
  if (oneIn(dice, 8)) return command(dice, COMMAND.REQUEST_INT_HANDLE);
  return descriptor(dice, device, ops);
}

function descriptor(dice: Dice, device: VfioDevice, ops: VirtualDsa): Move {
  const portal = PORTALS + (oneIn(dice, 2) ? PAGE : 0) + DESCRIPTOR * dice.roll(4);
  if (oneIn(dice, 24)) return { offset: portal + pick(dice, [8, 32]), count: DESCRIPTOR, bytes: [] };
  if (oneIn(dice, 24)) return { offset: portal, count: pick(dice, [8, 32, 128]), bytes: [] };
  const known = [...ops.guestPasids.keys()];
  const pasid = known.length > 0 && oneIn(dice, 2) ? pick(dice, known) : oneIn(dice, 8) ? 1 + dice.roll(3) : 0;
  const flags =
    (oneIn(dice, 4) ? 0 : FLAG.RECORD_VALID) |
    (oneIn(dice, 3) ? 0 : FLAG.RECORD) |
    (oneIn(dice, 3) ? FLAG.INTERRUPT : 0) |
    (oneIn(dice, 5) ? FLAG.BLOCK_ON_FAULT : 0);
  const record = address(dice, device);
  const bytes = encode({
    pasid,
    flags,
    operation: oneIn(dice, 12) ? pick(dice, [2, 0x20, 0xff]) : pick(dice, Object.values(OPERATION)),
    record: oneIn(dice, 12) ? record + 8n : record - (record % 32n),
    source: oneIn(dice, 3) ? BigInt(dice.roll(2 ** 30)) : address(dice, device),
    destination: address(dice, device),
    size: pick(dice, [8, 64, 64, 256, PAGE, 0, PAGE + 1]),
    handle: oneIn(dice, 6) ? dice.roll(3) : (ops.vectors.entries[1] ?? 0),
  });
  return { offset: portal, count: DESCRIPTOR, bytes };
}

/** Where something is mapped for the device, its begin or near its end; now and then where nothing is. */
function address(dice: Dice, device: VfioDevice): bigint {
  const ranges = mapped(device);
  if (ranges.length === 0 || oneIn(dice, 10)) return BigInt(dice.roll(64) * PAGE);
  const { first, last } = pick(dice, ranges);
  return oneIn(dice, 4) ? last - 31n : first + BigInt(64 * dice.roll(8));
}

function mapped(device: VfioDevice): readonly { readonly first: bigint; readonly last: bigint }[] {
  if (device.openedWith === "container") {
    const dmas = device.group.container?.iommu?.dmas.all ?? [];
    return dmas.map(({ iova, last }) => ({ first: iova, last }));
  }
  const pagetable = device.iommufdAccess?.ioas?.pagetable;
  if (!(pagetable instanceof IoPagetable)) return [];
  return pagetable.areasIn(0n, 2n ** 64n - 1n).map(({ start, last }) => ({ first: start, last }));
}

/** What tells how the last command, or the last descriptor, went. */
function look(dice: Dice): Move {
  switch (dice.roll(6)) {
    case 0:
      return { offset: REG.SWERR, count: SWERR_SIZE };
    case 1:
      return { offset: pick(dice, [REG.INTCAUSE, REG.GENSTS, REG.MSIX_PBA]), count: 4 };
    case 2:
      return { offset: REG.WQCFG, count: WQCFG_SIZE };
    case 3:
      return { offset: CONFIG + pick(dice, [PCI.BAR0, PCI.BAR2, PCI.COMMAND]), count: 8 };
    default:
      return { offset: REG.CMDSTS, count: 4 };
  }
}

/** Registers that are worth a look, or a try. */
const REGISTERS = [
  ...Object.values(REG),
  REG.WQCAP + 4,
  REG.SWERR + 4,
  REG.SWERR + 8,
  REG.SWERR + 16,
  ...Object.values(WQ_WORD).map((at) => REG.WQCFG + at),
  REG.MSIX_TABLE + MSIX_CONTROL,
  REG.MSIX_TABLE + 16 + MSIX_CONTROL,
  REG.MSIX_PERM + 8,
] as const;

function register(dice: Dice): Move {
  const at = pick(dice, REGISTERS);
  if (oneIn(dice, 2)) return { offset: at + (oneIn(dice, 4) ? dice.roll(4) : 0), count: pick(dice, [4, 4, 8, 2, 1]) };
  if (at === REG.CMD && oneIn(dice, 2)) return { offset: at, count: pick(dice, [1, 2]), bytes: [1] };
  return store(at, pick(dice, [0xffff_ffff, 0, 1, dice.roll(2 ** 31)]));
}

/** What a guest sets up: interrupts, errors that are told, its queue, masks and permissions of vectors. */
function setUp(dice: Dice): Move {
  const pasid = dice.roll(3);
  switch (dice.roll(6)) {
    case 0:
      return store(REG.GENCTRL, GENCTRL.SOFTERR_INT | GENCTRL.HALT_INT);
    case 1:
      return store(REG.SWERR, 3);
    case 2:
      return store(REG.MSIX_PERM + 8, oneIn(dice, 2) ? 0 : MSIX_PERM.PASID_ENABLE | (pasid << MSIX_PERM.PASID_SHIFT));
    case 3:
      return store(REG.MSIX_TABLE + 16 * dice.roll(2) + MSIX_CONTROL, dice.roll(2));
    default: {
      const control = pick(dice, [0, WQ_CONTROL.BLOCK_ON_FAULT, WQ_CONTROL.PRIVILEGED]);
      const guest = oneIn(dice, 2) ? 0 : WQ_CONTROL.PASID_ENABLE | (pasid << WQ_CONTROL.PASID_SHIFT);
      return store(REG.WQCFG + WQ_WORD.CONTROL, control | guest);
    }
  }
}

function inConfig(dice: Dice): Move {
  switch (dice.roll(5)) {
    case 0:
      return configure(PCI.COMMAND, oneIn(dice, 6) ? [6, 0, 0, 0] : [pick(dice, [6, 6, 2]), 0]);
    case 1:
      return configure(CONTROL.ATS, [0, oneIn(dice, 6) ? 0 : 0x80]);
    case 2:
      return configure(pick(dice, [CONTROL.PAGE_REQUEST, CONTROL.PASID]), [oneIn(dice, 6) ? 0 : 1, 0]);
    case 3: {
      const at = pick(dice, [0x10, 0x14, 0x18, 0x1c, 0x20]);
      return configure(at, oneIn(dice, 8) ? [0] : oneIn(dice, 2) ? [255, 255, 255, 255] : word(dice.roll(2 ** 31)));
    }
    default: {
      const at = pick(dice, [0, 4, 8, 0x10, 0x2c, 0x34, 0x40, 0x50, 0x100, 0x110, 0x120, 4092, 4096]);
      if (oneIn(dice, 2)) return { offset: CONFIG + at, count: pick(dice, [4, 2, 1]) };
      return configure(at, [0xff]);
    }
  }
}

const portalRead = (dice: Dice): Move => ({
  offset: PORTALS + pick(dice, [0, 8, PAGE, 2 * PAGE - 4, 2 * PAGE]),
  count: pick(dice, [4, 8]),
});

function elsewhere(dice: Dice): Move {
  const offset = pick(dice, [1, 3, 6, 8, 9]) * REGION_SIZE + pick(dice, [0, 4]);
  return oneIn(dice, 2) ? { offset, count: 4 } : { offset, count: 4, bytes: [1] };
}

/** A mapping of a portal, or of what is none. */
export function mapsPortal(dice: Dice, fd: string | -1): Call {
  const base = oneIn(dice, 8) ? pick(dice, [0, CONFIG]) : PORTALS;
  return {
    op: "mmap",
    fd,
    length: pick(dice, [PAGE, PAGE, PAGE, 1, 2 * PAGE, 4 * PAGE]),
    prot: 1 + dice.roll(3),
    offset: base + PAGE * pick(dice, [0, 0, 1, 1, 2, 4]),
  };
}
