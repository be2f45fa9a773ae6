/** What a console tells of a kernel that ended. */
import { expect, test } from "vitest";
import { SerialLog } from "./serial.ts";

function logOf(text: string): SerialLog {
  const log = new SerialLog();
  for (const line of text.split("\n")) log.append(`${line}\r\n`);
  return log;
}

test("a panic is told in the kernel's own words", () => {
  const log = logOf(
    "[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs\n[    1.3] CPU: 0 PID: 1 Comm: swapper/0",
  );
  expect(log).toMatchObject({ panic: "VFS: Unable to mount root fs", loop: undefined });
  expect(log.lastLine).toBe("[    1.3] CPU: 0 PID: 1 Comm: swapper/0");
});

test("a kernel that the watchdog interrupted was in the first function behind the panic", () => {
  const log = logOf(`[  623.155265] Uhhuh. NMI received for unknown reason 21 on CPU 0.
[  623.155279] Kernel panic - not syncing: NMI: Not continuing
[  623.155327] Call Trace:
[  623.155335]  <NMI>
[  623.155407]  panic+0xf9/0x25d
[  623.155589] RIP: 0010:domain_context_mapping_one+0x60/0x460
[  623.155831]  </NMI>
[  623.156286] RIP: 0033:0x439b79`);
  expect(log.loop).toBe("domain_context_mapping_one+0x60/0x460");
});

test("a kernel that did not end has neither", () => {
  expect(logOf("RIP: 0010:warned+0x1/0x2")).toMatchObject({ panic: undefined, loop: undefined });
});
