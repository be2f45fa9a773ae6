/** Calls of the kernel's iommufd selftests, and the variants of their fixtures (tools/testing/selftests/iommu of Linux 7.2). */
import { MOCK_START as START } from "../model/iommufd/selftest/mock-device.ts";
import { MEMORY, PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Fields, Value } from "../model/program.ts";
import { allocIoas, ioctl, openIommufd } from "./calls.ts";
import { mock, test } from "./mocks.ts";
import { type Scenario, type Step, scenario } from "./scenario.ts";

export type Steps = readonly (Call | Step)[];

const NEEDS = { since: "6.8", kconfig: ["IOMMUFD", "IOMMUFD_TEST"] } as const;
export const WITH_MOCK = { ...NEEDS, mock: true } as const;

/** MOCK_PAGE_SIZE */
export const HALF = PAGE / 2;
/** BUFFER_SIZE */
export const BUFFER = 16 * PAGE;
const READ_WRITE = 6;
const FIXED = 1;

/** FIXTURE_VARIANT(iommufd_ioas): how many mocks are attached, and how small batches are. */
export interface Variant {
  readonly id: string;
  readonly mocks: number;
  readonly limit: number;
}

const DEFAULT_LIMIT = 65536;
export const IOAS_VARIANTS: readonly Variant[] = [
  { id: "no-domain", mocks: 0, limit: DEFAULT_LIMIT },
  { id: "mock-domain", mocks: 1, limit: DEFAULT_LIMIT },
  { id: "two-mock-domain", mocks: 2, limit: DEFAULT_LIMIT },
  { id: "mock-domain-limit", mocks: 1, limit: 16 },
];
export const DOMAIN_VARIANTS: readonly Variant[] = [
  { id: "one-domain", mocks: 1, limit: DEFAULT_LIMIT },
  { id: "two-domains", mocks: 2, limit: DEFAULT_LIMIT },
];

const limitMemory = (limit: number): Call => test("SET_TEMP_MEMORY_LIMIT", 0, { limit });
/** FIXTURE_SETUP: mocks go by the numbers 1 and 2. */
const setUp = ({ mocks, limit }: Variant): Call[] => [
  openIommufd(),
  allocIoas("@iommufd"),
  limitMemory(limit),
  ...Array.from({ length: mocks }, (_, i) => mock("@ioas", i + 1)),
];

/** Whether a mock is attached, or tried to. */
const attachesMock = (step: Call | Step): boolean => {
  const call = "call" in step ? step.call : step;
  return call.op === "ioctl" && call.request.startsWith("IOMMU_TEST_OP_MOCK_DOMAIN");
};

/** A test in each of its variants. */
export function inVariants(
  id: string,
  title: string,
  variants: readonly Variant[],
  stepsOf: (given: Variant) => Steps,
): Scenario[] {
  return variants.map((variant) => {
    const steps = [...setUp(variant), ...stepsOf(variant), limitMemory(DEFAULT_LIMIT)];
    return scenario({
      id: `selftest-${id}-${variant.id}`,
      title: `${title} (${variant.id.replaceAll("-", " ")})`,
      needs: steps.some(attachesMock) ? WITH_MOCK : NEEDS,
      steps,
    });
  });
}

/** Where tests map: the lowest address that is there with and without a mock. */
export const baseOf = ({ mocks }: Variant): number => (mocks > 0 ? START : 0);

export const mapping = (fields: Fields, iova?: string): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_IOAS_MAP",
    { size: 40, flags: READ_WRITE, ioas_id: "@ioas", user_va: MEMORY.user, ...fields },
    iova === undefined ? {} : { binds: { iova } },
  );
export const mapAt = (iova: number, length: number, at = 0, ioas: Value = "@ioas"): Call =>
  mapping({ flags: READ_WRITE | FIXED, ioas_id: ioas, iova, length, user_va: MEMORY.user + BigInt(at) });
/** Maps where the kernel likes. */
export const mapAnywhere = (length: number, iova = "@iova", at = 0): Call =>
  mapping({ length, user_va: MEMORY.user + BigInt(at) }, iova);
export const unmap = (iova: Value, length: number | bigint, ioas: Value = "@ioas"): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_UNMAP", { size: 24, ioas_id: ioas, iova, length });
export const copy = (src: Value, dst: number, length: number, to: Value = "@ioas", from: Value = "@ioas"): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_COPY", {
    size: 40,
    flags: FIXED | 2,
    dst_ioas_id: to,
    src_ioas_id: from,
    length,
    dst_iova: dst,
    src_iova: src,
  });
export const reserve = (start: number, length: number | bigint): Call =>
  test("ADD_RESERVED", "@ioas", { start, length });
export const allow = (start: number, last: number): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_ALLOW_IOVAS", {
    size: 24,
    ioas_id: "@ioas",
    num_iovas: 1,
    allowed_iovas: { fields: { start_0: start, last_0: last } },
  });
export const allowAll = ioctl("@iommufd", "IOMMU_IOAS_ALLOW_IOVAS", { size: 24, ioas_id: "@ioas" });
export const ranges = (room: number): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_IOVA_RANGES", {
    size: 32,
    ioas_id: "@ioas",
    num_iovas: room,
    allowed_iovas: { fields: {} },
  });
export const hugePages = (op: number, val64: number): Call =>
  ioctl("@iommufd", "IOMMU_OPTION", { size: 24, option_id: 1, op, object_id: "@ioas", val64 });
export const checkMap = (hwpt: Value, iova: Value, length: number, at: number): Call =>
  test("MD_CHECK_MAP", hwpt, { iova, length, uptr: MEMORY.user + BigInt(at) });
export const checkRefs = (at: number, length: number, refs: number): Call =>
  test("MD_CHECK_REFS", 0, { uptr: MEMORY.user + BigInt(at), length, refs });

/** An access that pins pages. */
export const createAccess = (ioas: Value): Call =>
  test("CREATE_ACCESS", ioas, { op: 5, flags: 1 }, { binds: { out_access_fd: "@access" } });
export const pin = (iova: Value, length: number, at = 0, pages = "@pin"): Call =>
  test(
    "ACCESS_PAGES",
    "@access",
    { op: 7, iova, length, uptr: MEMORY.user + BigInt(at) },
    { binds: { out_access_pages_id: pages } },
  );
export const unpin = (pages: Value = "@pin"): Call =>
  test("DESTROY_ACCESS_PAGES", "@access", { op: 6, access_pages_id: pages });
export const moveAccess = (ioas: Value): Call => test("ACCESS_REPLACE_IOAS", "@access", { op: 11, ioas_id: ioas });

export const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
export const SET = 0;
export const GET = 1;
