/** Makes a system ready for programs: every function bound to vfio-pci by override if that takes it, the standing mdevs made. */
import type { Topology } from "../model/topology.ts";
import { Assembler } from "./agent/assembler.ts";
import type { AgentConnection } from "./agent/connection.ts";
import { OutputReader } from "./lower/decode.ts";
import { Lowering, type Shape } from "./lower/lower.ts";
import { attributePath, devicePath } from "./lower/paths.ts";
import { TargetError } from "./target.ts";

const TIMEOUT_MS = 60_000;

/** Sets up; what can't be done ends it with a sentence. */
export async function setUp(agent: AgentConnection, topology: Topology): Promise<void> {
  const code = new Assembler();
  const lowering = new Lowering(code, topology);
  const shapes: { readonly shape: Shape; readonly name: string; readonly required: boolean }[] = [];
  for (const { name, address, group } of topology.functions) {
    // One that no IOMMU isolates is refused by a kernel that is not in no-IOMMU mode.
    const required = group >= 0;
    const path = devicePath(topology, name);
    shapes.push({ name, required: true, shape: lowering.sysfsWrite(`${path}/driver_override`, "vfio-pci") });
    shapes.push({ name, required: false, shape: lowering.sysfsWrite(`${path}/driver/unbind`, address) });
    shapes.push({ name, required, shape: lowering.sysfsWrite("/sys/bus/pci/drivers/vfio-pci/bind", address) });
  }
  for (const { name, uuid, standing } of topology.mdevs) {
    if (!standing) continue;
    const path = attributePath(topology, { kind: "mdev-create", ...standing });
    shapes.push({ name, required: true, shape: lowering.sysfsWrite(path, uuid) });
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
}
