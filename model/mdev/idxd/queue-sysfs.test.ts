/** Work queues of idxd, and who has them. */
import { describe, expect, it } from "vitest";
import { Blocked } from "../../kernel/operation.ts";
import type { Attribute, Call } from "../../program.ts";
import { CONFIG, Host, PORTALS, SHARED } from "./test-guest.ts";
import type { VirtualDsa } from "./virtual-device.ts";

const queueAttribute = (queue: string, file: (Attribute & { kind: "wq" })["file"]): Attribute => ({
  kind: "wq",
  queue,
  file,
});

describe("the host's queues", () => {
  it("wait for guests and programs that use them", () => {
    const host = new Host();
    host.guest("vdsa0");
    expect(() => host.bind("mdev", "unbind", "wq0.0")).toThrow(Blocked);
    host.does({ op: "open", node: { kind: "wq", queue: "wq0.3" }, as: "@wq" });
    expect(() => host.bind("user", "unbind", "wq0.3")).toThrow(Blocked);
    host.does({ op: "close", fd: "@wq" });
    expect(host.bind("user", "unbind", "wq0.3")).toBe(5);
    expect(host.text(queueAttribute("wq0.3", "state"))).toBe("disabled\n");
  });

  it("that guests share go to them in turn, and dedicated ones run while their guest says so", () => {
    const host = new Host();
    const guest = host.guest("vdsa0");
    expect(host.text(queueAttribute("wq0.0", "state"))).toBe("locked\n");
    guest.start();
    expect(host.text(queueAttribute("wq0.0", "state"))).toBe("enabled\n");
    host.bind("user", "unbind", "wq0.3");
    const give: readonly ["type" | "mode" | "threshold", string][] = [
      ["type", "mdev"],
      ["mode", "shared"],
      ["threshold", "4"],
    ];
    for (const [file, text] of give) {
      expect(host.does({ op: "sysfs-write", attribute: queueAttribute("wq0.3", file), text: { text } })).toBe(
        text.length,
      );
    }
    host.bind("mdev", "bind", "wq0.3");
    for (const device of ["vdsa1", "vdsa2", "vdsa3"]) expect(host.create(device, SHARED)).toBe(36);
    const shared = host.machine.k.accelerator?.queues.map(({ instances }) => instances.length);
    expect(shared).toEqual([1, 0, 2, 1, 0, 0]);
  });

  it("map the portal that suits them", () => {
    const host = new Host();
    const guest = host.guest("vdsa0", SHARED);
    const map = (length: number, offset: number): Call => ({ op: "mmap", fd: guest.fd, length, prot: 3, offset });
    host.does(map(4096, PORTALS));
    expect(host.does(map(8192, PORTALS))).toBe("EINVAL");
    expect(host.does(map(4096, PORTALS + 8192))).toBe("EINVAL");
    expect(host.does(map(4096, CONFIG))).toBe("EINVAL");
    const [queue] = host.machine.k.accelerator?.queues.filter(({ spec }) => spec.name === "wq0.2") ?? [];
    const device: VirtualDsa | undefined = queue?.instances[0];
    expect(device?.portals).toEqual([{ queue, limited: true, pages: 1 }]);
  });
});
