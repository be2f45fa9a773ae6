/**
 * Makes a system ready for programs: every function bound to vfio-pci by override if that takes it, the standing mdevs made,
 * and any allocation one that can be made to fail.
 */
import type { Topology } from "../model/topology.ts";
import { Assembler } from "./agent/assembler.ts";
import type { AgentConnection } from "./agent/connection.ts";
import { OutputReader } from "./lower/decode.ts";
import { Lowering } from "./lower/lower.ts";
import { devicePath } from "./lower/paths.ts";
import type { Shape } from "./lower/shape.ts";
import { type Made, makeStanding, standingMdevs } from "./standing.ts";
import { TargetError } from "./target.ts";

const TIMEOUT_MS = 60_000;
/**
 * Of debugfs: allocations that may sleep fail as well, and the log keeps quiet of those that were made to fail. What a
 * kernel has not is left out, but for the first. The C exporter writes the same.
 */
export const FAILURE_SETTINGS: readonly (readonly [file: string, text: string])[] = [
  ["/sys/kernel/debug/failslab/ignore-gfp-wait", "N"],
  ["/sys/kernel/debug/failslab/verbose", "0"],
  ["/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N"],
  ["/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N"],
  ["/sys/kernel/debug/fail_page_alloc/verbose", "0"],
  ["/sys/kernel/debug/fail_iommufd/verbose", "0"],
];

/**
 * Sets up; what can't be done ends it with a sentence. `enabled`: functions are kept enabled, whoever has them. Where the kernel
 * has ACPI's tables tell how interrupts are routed whenever a function is enabled or disabled, that takes more than half of
 * the time of a program on a debug kernel, and is nothing of VFIO's.
 */
export async function setUp(agent: AgentConnection, topology: Topology, enabled: boolean): Promise<void> {
  const code = new Assembler();
  const lowering = new Lowering(code, topology);
  const shapes: { readonly shape: Shape; readonly name: string; readonly required: boolean }[] = [];
  for (const { name, address, group } of topology.functions) {
    // One that no IOMMU isolates is refused by a kernel that is not in no-IOMMU mode.
    const required = group >= 0;
    const path = devicePath(topology, name);
    shapes.push({ name, required: true, shape: lowering.sysfsWrite(`${path}/driver_override`, "vfio-pci") });
    shapes.push({ name, required: false, shape: lowering.sysfsWrite(`${path}/driver/unbind`, address) });
    if (enabled) shapes.push({ name, required: false, shape: lowering.sysfsWrite(`${path}/enable`, "1") });
    shapes.push({ name, required, shape: lowering.sysfsWrite("/sys/bus/pci/drivers/vfio-pci/bind", address) });
  }
  if (topology.noFailNth === null) {
    for (const [at, [path, text]] of FAILURE_SETTINGS.entries()) {
      shapes.push({ name: path, required: at === 0, shape: lowering.sysfsWrite(path, text) });
    }
  }
  const introduced: { readonly name: string; readonly made: Made }[] = [];
  for (const mdev of standingMdevs(topology)) {
    introduced.push({ name: mdev.name, made: makeStanding(lowering, topology, mdev) });
  }
  const result = await agent.runOne({ id: 0, code: code.finish(), timeoutMs: TIMEOUT_MS, inJanitor: true });
  if (result.status.kind !== "done") throw new TargetError(`Making devices ready ended in ${result.status.kind}.`);
  const reader = new OutputReader(result.output);
  for (const { name, shape, required } of shapes) {
    const outcome = reader.next(shape);
    if (required && (!outcome || outcome.ret < 0)) {
      throw new TargetError(
        `${name} could not be made ready (errno ${-(outcome?.ret ?? 0)}); has the kernel CONFIG_VFIO_PCI, and is nothing else using the device?`,
      );
    }
  }
  for (const { name, made } of introduced) {
    const created = reader.next(made.create);
    const answered = made.ways.map(({ before, question }) => {
      for (const shape of before) reader.next(shape);
      return reader.next(question)?.ret === 0;
    });
    if (!created || created.ret < 0)
      throw new TargetError(`${name} could not be made (errno ${-(created?.ret ?? 0)}).`);
    if (!answered.includes(true)) {
      throw new TargetError(
        `${name} can't be opened in any way; has the kernel CONFIG_VFIO_CONTAINER or CONFIG_IOMMUFD?`,
      );
    }
  }
}
