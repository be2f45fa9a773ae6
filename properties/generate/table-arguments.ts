/**
 * Arguments for commands about page tables: what they can be made from, what they hold and what is written through them
 * hangs together, so that fields that are thrown one by one would seldom mean anything.
 */
import { IommufdFile } from "../../model/iommufd/file.ts";
import type { IommufdContext, IommufdObject } from "../../model/iommufd/objects.ts";
import { MockCache } from "../../model/iommufd/selftest/mock-iommu.ts";
import type { File } from "../../model/kernel/file.ts";
import { PAGE } from "../../model/kernel/memory-map.ts";
import type { Fields } from "../../model/program.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import type { Situation } from "./moves.ts";

const IO_PAGE = PAGE / 2;
const FAULT_ID_VALID = 4;
const PASID = 8;
/** IOMMU_HWPT_DATA_SELFTEST and what its caches are mostly made with. */
const SELFTEST = 0xdead;
const CACHED = 0x0bad_beef;
/** PASIDs that programs attach: few, so that they meet; 1024 fails every second time. */
const SOME_PASIDS = [1, 1, 2, 1024] as const;

/** Fields that the state of the model suggests; undefined where there is nothing to suggest, or chance is to have its way. */
export function tableFields(on: Situation, name: string, file: File | null): Fields | undefined {
  if (!(file instanceof IommufdFile) || oneIn(on.dice, 6)) return undefined;
  const { context } = file;
  switch (name) {
    case "IOMMU_HWPT_ALLOC":
      return hwptAlloc(on, context);
    case "IOMMU_HWPT_SET_DIRTY_TRACKING": {
      const table = find(on, context, isTelling);
      return table && { hwpt_id: table.handle };
    }
    case "IOMMU_HWPT_GET_DIRTY_BITMAP": {
      const range = someRange(on, context);
      return range && { hwpt_id: range.handle, iova: range.iova, length: range.length, page_size: pageSize(on.dice) };
    }
    case "IOMMU_TEST_OP_DIRTY": {
      const range = someRange(on, context);
      return range && { id: range.handle, iova: range.iova, length: range.length, page_size: IO_PAGE };
    }
    case "IOMMU_HWPT_INVALIDATE": {
      const table = find(on, context, (object) => object.kind === "nested");
      return table && { hwpt_id: table.handle };
    }
    case "IOMMU_TEST_OP_MD_CHECK_IOTLB": {
      const table = find(on, context, (object) => object.kind === "nested");
      if (table?.object.kind !== "nested" || !(table.object.table instanceof MockCache)) return undefined;
      const id = on.dice.roll(4);
      return { id: table.handle, id_1: id, iotlb: table.object.table.entries[id] ?? 0 };
    }
    case "IOMMU_TEST_OP_TRIGGER_IOPF": {
      const device = find(on, context, (object) => object.kind === "device" && object.igroup.hwpt?.fault !== null);
      return device && { dev_id: device.handle };
    }
    case "IOMMU_TEST_OP_PASID_ATTACH":
    case "IOMMU_TEST_OP_PASID_REPLACE":
    case "IOMMU_TEST_OP_PASID_CHECK_HWPT":
    case "IOMMU_TEST_OP_PASID_DETACH":
      return pasidFields(on, context, name);
    default:
      return undefined;
  }
}

/** Whether an object is a page table for PASIDs. */
const isForPasids = (object: IommufdObject): boolean =>
  (object.kind === "hwpt" || object.kind === "nested") && object.forPasids;

/** A mock that has PASIDs, and mostly one that is attached and what it is, or could be, attached to. */
function pasidFields(on: Situation, context: IommufdContext, name: string): Fields | undefined {
  const { dice } = on;
  const mock = find(on, context, (object) => object.kind === "selftest" && object.device.device.pasidBits > 0);
  if (mock?.object.kind !== "selftest") return undefined;
  const { attachments } = mock.object.device.igroup;
  const id = mock.handle;
  if (name === "IOMMU_TEST_OP_PASID_ATTACH" || attachments.size === 0) {
    const table = find(on, context, isForPasids);
    const pasid = pick(dice, SOME_PASIDS);
    return table && { id, pasid, [name === "IOMMU_TEST_OP_PASID_CHECK_HWPT" ? "hwpt_id" : "pt_id"]: table.handle };
  }
  const [pasid, { hwpt }] = pick(dice, [...attachments]);
  if (name === "IOMMU_TEST_OP_PASID_DETACH") return { id, pasid };
  if (name === "IOMMU_TEST_OP_PASID_CHECK_HWPT") {
    const table = find(on, context, (object) => object === hwpt);
    return { id, pasid, hwpt_id: table?.handle ?? 0 };
  }
  const table = find(on, context, (object) => isForPasids(object) && object !== hwpt);
  return table && { id, pasid, pt_id: table.handle };
}

/** A page table of an IOAS, or one that is nested in another, with data where that must be. */
function hwptAlloc(on: Situation, context: IommufdContext): Fields | undefined {
  const { dice } = on;
  const queue = find(on, context, (object) => object.kind === "fault");
  const parent = find(on, context, (object) => object.kind === "hwpt" && object.nestParent);
  if (parent && !oneIn(dice, 3)) {
    const flags = queue && !oneIn(dice, 3) ? FAULT_ID_VALID : 0;
    return {
      pt_id: parent.handle,
      flags: flags | (oneIn(dice, 4) ? PASID : 0),
      data_type: SELFTEST,
      data_len: 4,
      data_uptr: { fields: { iotlb: CACHED } },
      fault_id: queue?.handle ?? 0,
    };
  }
  const ioas = find(on, context, (object) => object.kind === "ioas");
  if (!ioas) return undefined;
  const base = { pt_id: ioas.handle, fault_id: queue?.handle ?? 0 };
  if (oneIn(dice, 8)) return { ...base, data_type: SELFTEST, data_len: pick(dice, [4, 8]), data_uptr: { fields: {} } };
  return { ...base, data_type: 0, data_len: 0 };
}

const isTelling = (object: IommufdObject): boolean => object.kind === "hwpt" && object.dirty !== null;
const pageSize = (dice: Dice): number => pick(dice, [IO_PAGE, PAGE, IO_PAGE, IO_PAGE / 2]);

/** Something that is mapped in a page table that tells what was written, from a page on; now and then more than that. */
function someRange(on: Situation, context: IommufdContext) {
  const { dice } = on;
  const table = find(on, context, isTelling);
  if (table?.object.kind !== "hwpt") return undefined;
  const { areas } = table.object.ioas.pagetable;
  if (areas.length === 0) return undefined;
  const area = pick(dice, areas);
  const pages = Math.min(Number(area.length) / IO_PAGE, 32);
  const from = oneIn(dice, 2) ? 0 : dice.roll(pages);
  const length = oneIn(dice, 8) ? pages + 2 : 1 + dice.roll(pages - from);
  return { handle: table.handle, iova: area.start + BigInt(from * IO_PAGE), length: length * IO_PAGE };
}

/** A handle of an object of the context that satisfies the condition. */
function find(
  { dice, handles, machine }: Situation,
  context: IommufdContext,
  condition: (object: IommufdObject) => boolean,
) {
  const found: { readonly handle: string; readonly object: IommufdObject }[] = [];
  for (const { handle, owner } of handles.named) {
    if (owner !== context) continue;
    const object = context.get(Number(machine.resolve(handle)));
    if (object && condition(object)) found.push({ handle, object });
  }
  return found.length > 0 ? pick(dice, found) : undefined;
}
