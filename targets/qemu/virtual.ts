/**
 * Virtual functions of a guest's physical ones: made for a moment, looked at, and ended again. They become functions of the
 * topology that are not there at first.
 */
import { formatRegisters, parseRegisters } from "../../model/pci/register-text.ts";
import { SRIOV, sriovAt } from "../../model/pci/sriov-registers.ts";
import type { FunctionSpec, Topology } from "../../model/topology.ts";
import { Assembler } from "../agent/assembler.ts";
import type { AgentConnection } from "../agent/connection.ts";
import { OutputReader } from "../lower/decode.ts";
import { Lowering } from "../lower/lower.ts";
import { devicePath } from "../lower/paths.ts";
import { tryRegisters } from "../registers.ts";
import { TargetError } from "../target.ts";
import { type Hints, topologyOf } from "../topology-of.ts";
import type { MachineDevice } from "./machines.ts";
import { survey } from "./survey.ts";

const TIMEOUT_MS = 60_000;

/** The topology with the virtual functions that the machine gives names to, where vfio-pci makes any. */
export async function withVirtual(
  agent: AgentConnection,
  topology: Topology,
  devices: readonly MachineDevice[],
  hints: Hints,
): Promise<Topology> {
  if (!topology.sriov) return topology;
  const functions: FunctionSpec[] = [...topology.functions];
  for (const { name, virtual = [] } of devices) {
    const physical = topology.functions.find((spec) => spec.name === name);
    if (!physical || virtual.length === 0) continue;
    await setNumVfs(agent, topology, name, virtual.length);
    const addresses = virtual.map((_, index) => virtualAddress(physical, index));
    const found = topologyOf(topology.name, await survey(agent, addresses), hints);
    const tried = await tryRegisters(agent, found);
    functions.push(...tried.functions.map((spec, index) => ofPhysical(spec, physical, virtual[index] ?? spec.name)));
    await setNumVfs(agent, topology, name, 0);
  }
  return { ...topology, functions };
}

async function setNumVfs(agent: AgentConnection, topology: Topology, name: string, count: number): Promise<void> {
  const code = new Assembler();
  const lowering = new Lowering(code, topology);
  const shape = lowering.sysfsWrite(`${devicePath(topology, name)}/sriov_numvfs`, String(count));
  const { output } = await agent.runOne({ id: 0, code: code.finish(), timeoutMs: TIMEOUT_MS, inJanitor: true });
  const outcome = new OutputReader(output).next(shape);
  if (!outcome || outcome.ret < 0) {
    throw new TargetError(`${name} could not be given ${count} virtual functions (errno ${-(outcome?.ret ?? 0)}).`);
  }
}

/** In the header. */
const BARS_AT = 0x10;

/** Where a virtual function is: pci_iov_virtfn_devfn. They lie on the bus of the physical one. */
function virtualAddress(physical: FunctionSpec, index: number): string {
  const config = parseRegisters(physical.config, physical.configSize);
  const at = sriovAt(config);
  const word = (offset: number): number => (config[at + offset] ?? 0) | ((config[at + offset + 1] ?? 0) << 8);
  const devfn = physical.devfn + word(SRIOV.VF_OFFSET) + word(SRIOV.VF_STRIDE) * index;
  const slot = (devfn >> 3).toString(16).padStart(2, "0");
  return `${physical.address.slice(0, 8)}${slot}.${devfn & 7}`;
}

/**
 * What of a virtual function its registers do not say: that it interrupts by messages only, and of which kind its BARs are, which
 * the physical function tells.
 */
function ofPhysical(spec: FunctionSpec, physical: FunctionSpec, name: string): FunctionSpec {
  const own = parseRegisters(physical.config, physical.configSize);
  const config = parseRegisters(spec.config, spec.configSize);
  for (let bar = 0; bar < 6; bar++) {
    config[BARS_AT + 4 * bar] = (own[sriovAt(own) + SRIOV.BARS + 4 * bar] ?? 0) & 0x0f;
  }
  return { ...spec, name, physicalFunction: physical.name, intx: false, config: formatRegisters(config) };
}
