/** Leave to use this host: says exactly what will happen, and asks. */
import { createInterface } from "node:readline/promises";
import type { HostDevice } from "../targets/host/devices.ts";
import { UsageError } from "./errors.ts";

/** What happens to the devices, a line each. */
export function whatHappens(devices: readonly HostDevice[]): string {
  const lines = ["This host is going to be tested. The following happens to it:", ""];
  for (const { address, driver, iommuGroup } of devices) {
    const from = driver === null ? "has no driver now" : `is unbound from its driver ${driver}: what uses it loses it`;
    lines.push(
      `  ${address} (IOMMU group ${iommuGroup}) ${from},`,
      "    is reset, bound to vfio-pci, and reset by programs again and again.",
    );
  }
  lines.push(
    "",
    "  Generated programs run as root and open, map and reset these devices, and make VMs and mediated devices of",
    "  the kernel's samples. A bug that they find may crash this host.",
    "  At the end every device is put back to the driver that it has now.",
    "",
  );
  return lines.join("\n");
}

/** Asks on the terminal, unless told not to; throws UsageError without an explicit yes. */
export async function confirmHost(devices: readonly HostDevice[], yes: boolean): Promise<void> {
  process.stderr.write(`${whatHappens(devices)}\n`);
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new UsageError("This host is only tested with --yes, or when asked on a terminal; nothing was touched.");
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question("Go on? Type yes: ");
  terminal.close();
  if (answer.trim().toLowerCase() !== "yes") throw new UsageError("Nothing was touched.");
}
