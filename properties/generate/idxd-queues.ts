/** Calls of the host about work queues of idxd: what each is for, and who has it. */
import { DRIVER_OF, type QueueType } from "../../model/mdev/idxd/host.ts";
import type { Attribute, Call } from "../../model/program.ts";
import { oneIn, pick } from "./dice.ts";
import type { Situation } from "./moves.ts";

const TYPES: readonly QueueType[] = ["none", "kernel", "user", "mdev", "mdev"];
const DRIVERS = ["dmaengine", "user", "mdev"] as const;

/** One call about a queue; undefined where the machine has none. */
export function queueCall({ dice, machine }: Situation): Call | undefined {
  const queues = machine.k.accelerator?.queues;
  if (!queues) return undefined;
  const queue = pick(dice, queues);
  const name = oneIn(dice, 24) ? "wq9.9" : queue.spec.name;
  const attribute = (file: (Attribute & { kind: "wq" })["file"]): Attribute => ({ kind: "wq", queue: name, file });
  const write = (file: (Attribute & { kind: "wq" })["file"], text: string): Call => ({
    op: "sysfs-write",
    attribute: attribute(file),
    text: { text },
  });
  switch (dice.roll(8)) {
    case 0: {
      const files = ["type", "mode", "threshold", "block_on_fault", "state"] as const;
      return { op: "sysfs-read", attribute: attribute(pick(dice, files)) };
    }
    case 1:
      return write("type", oneIn(dice, 8) ? "guest" : pick(dice, TYPES));
    case 2:
      return write("mode", pick(dice, ["dedicated", "shared", "shared\n", "both"]));
    case 3:
      return write("threshold", pick(dice, ["8", "1", "16", "17", "0", "x"]));
    case 4:
      return oneIn(dice, 8)
        ? write("state", "enabled")
        : write("block_on_fault", pick(dice, ["1", "0", "on", "x", ""]));
    default: {
      const file = queue.driver === null ? "bind" : "unbind";
      const own = queue.driver ?? DRIVER_OF[queue.type];
      const driver = own && !oneIn(dice, 8) ? own : pick(dice, DRIVERS);
      const other = file === "bind" ? "unbind" : "bind";
      return {
        op: "sysfs-write",
        attribute: { kind: "wq-driver", driver, file: oneIn(dice, 12) ? other : file },
        text: { text: name },
      };
    }
  }
}
