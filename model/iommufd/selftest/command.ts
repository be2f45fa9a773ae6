/**
 * IOMMU_TEST_CMD: one number and one struct for all that the kernel's selftests can ask for, told apart by an op. Here each op
 * is a definition of its own, made like that of any ioctl. Beside drivers/iommu/iommufd/iommufd_test.h and iommufd_test() in
 * selftest.c.
 */
import { clauses, must, refuse } from "../../kernel/clause.ts";
import type { FileKind } from "../../kernel/file.ts";
import { type Argument, type Ioctl, ioctl, vfioRequest } from "../../kernel/ioctl.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { Operation } from "../../kernel/operation.ts";
import type { UserBlock } from "../../kernel/user-memory.ts";
import { type FieldSpec, field, type Layout, layout } from "../../uapi/layout.ts";
import { type Version, versionNumber } from "../../uapi/version.ts";
import type { IommufdFile } from "../file.ts";

/** What every clause of the selftests' part has in common; most take a machine where mocks work on every kernel. */
export const SELFTEST = { since: "6.2", kconfig: ["IOMMUFD", "IOMMUFD_TEST"], machine: "mock" } as const;

/** A clause's source in selftest.c. */
export const selftestSource = (name: string): string => `drivers/iommu/iommufd/selftest.c:${name}`;

export const rule = clauses({
  "IOMMUFD-TEST-1": {
    ...SELFTEST,
    rule: "op must be one that the kernel's selftests have",
    errno: "EOPNOTSUPP",
    source: selftestSource("iommufd_test"),
  },
});

/** sizeof(struct iommu_test_cmd), and how much of it a caller must know. */
const SIZE = 72;
const LAST = 64;
export const TEST_MIN_SIZE = LAST + 4;

/** An op, as an ioctl is defined. */
interface TestOp {
  /** Its number. */
  readonly op: number;
  readonly since: Version;
  /** Kind of file whose descriptor is returned. */
  readonly returns?: FileKind;
  /** What `id` names. */
  readonly id?: FieldSpec;
  /** The member of the union. */
  readonly fields?: Readonly<Record<string, FieldSpec>>;
  useful?(k: Kernel, file: IommufdFile): boolean;
  run(k: Kernel, file: IommufdFile, arg: Argument): Operation<number>;
}

const ops = new Map<number, Ioctl<IommufdFile>>();

/** Defines an op as `IOMMU_TEST_OP_<name>`. */
export function testOp(name: string, { op, since, returns, id, fields = {}, useful, run }: TestOp): Ioctl<IommufdFile> {
  if (ops.has(op)) throw new Error(`test op ${op} is defined twice`);
  const definition = ioctl<IommufdFile>({
    name: `IOMMU_TEST_OP_${name}`,
    request: vfioRequest(0xa0),
    argument: { kind: "struct", layout: layoutOf(name.toLowerCase(), op, id ?? field.reserved32(), fields) },
    on: ["iommufd"],
    since,
    ...(returns === undefined ? {} : { returns }),
    weight: 1 / 16,
    useful: (k, file) => k.has("IOMMUFD_TEST") && (useful?.(k, file) ?? true),
    run,
  });
  ops.set(op, definition);
  return definition;
}

/** struct iommu_test_cmd with one member of its union; what the other members take is filled up. */
function layoutOf(name: string, op: number, id: FieldSpec, fields: Readonly<Record<string, FieldSpec>>): Layout {
  const specs: Record<string, FieldSpec> = {
    size: field.argsz(),
    op: field.value32(op),
    id,
    __reserved: field.reserved32(),
    ...fields,
  };
  let end = sizeUpTo(specs);
  for (let i = 0; end < LAST; i++) {
    const width = end % 8 === 0 ? 8 : 4;
    specs[`__unused${i}`] = { width, meaning: { kind: "reserved" } };
    end += width;
  }
  specs["last"] = field.reserved32();
  specs["__end"] = field.reserved32();
  return layout(`iommu_test_${name}`, specs);
}

function sizeUpTo(specs: Readonly<Record<string, FieldSpec>>): number {
  const { fields } = layout("", specs);
  const last = fields.at(-1);
  return last ? last.offset + last.width : 0;
}

/** iommufd_test */
export const testCommand: Ioctl<IommufdFile> = {
  name: "IOMMU_TEST_CMD",
  request: vfioRequest(0xa0),
  argument: { kind: "struct", layout: layoutOf("cmd", 0, field.reserved32(), {}) },
  on: ["iommufd"],
  run(k, file, arg) {
    const op = arg.block.u32(4);
    const definition = ops.get(op);
    if (definition) {
      must(k.version >= versionNumber(definition.since ?? "6.2"), rule["IOMMUFD-TEST-1"]);
      return definition.run(k, file, arg);
    }
    return refuse(rule["IOMMUFD-TEST-1"]);
  },
};

/** iommufd_ucmd_respond with the whole struct: how much of it the caller gets. */
export function respondSize(block: UserBlock): number {
  return Math.min(block.u32(0), SIZE);
}
