/** Reports in the kernel's log, by what a reader would call them. */
import { expect, test } from "vitest";
import { splats } from "./kernel-log.ts";

test("a warning is named by its place, not by the process or the addresses of the day", () => {
  const log = `<6>mtty 83b8f4f2-509f-382f-3c1e-e6bfe0fa1000: Adding to iommu group 9
<4>WARNING: drivers/vfio/container.c:526 at vfio_group_unuse_container+0x26/0x30, CPU#0: init/152
<4>WARNING: drivers/vfio/container.c:526 at vfio_group_unuse_container+0x26/0x30, CPU#0: init/153`;
  expect(splats(log)).toEqual([
    { kind: "WARNING", title: "WARNING: drivers/vfio/container.c:526 at vfio_group_unuse_container, CPU#0: init" },
  ]);
});

test("lockdep, KASAN and the rest go by their own names", () => {
  expect(
    splats(`<4>WARNING: possible circular locking dependency detected
<3>BUG: KASAN: slab-use-after-free in mutex_lock+0x76/0xe0
<4>refcount_t: underflow; use-after-free.
<1>BUG: kernel NULL pointer dereference, address: 0000000000000390
<3>INFO: task init:152 blocked for more than 120 seconds.`).map(({ kind }) => kind),
  ).toEqual(["lockdep", "KASAN", "refcount", "oops", "hung task"]);
});

test("what kernels say of an ordinary day is no report", () => {
  expect(
    splats(`<6>vfio-pci 0000:01:00.0: resetting
<4>KVM: debugfs: duplicate directory 1037-4
<6>mdpy 83b8f4f2-509f-382f-3c1e-e6bfe0fa1002: mdpy_init_dev: mdpy-hd (1920x1080)`),
  ).toEqual([]);
});

test("an allocation that was asked to fail is no report, a warning of its error path is", () => {
  const forced = `<5>FAULT_INJECTION: forcing a failure.
<5>name failslab, interval 1, probability 0, space 0, times 0
<4>Call Trace:
<4> should_fail_ex+0x12f/0x150
<3>kobject: kobject_add_internal failed for 83b8f4f2-509f-382f-3c1e-e6bfe0fa1000 (error: -12 parent: mtty)`;
  expect(splats(forced)).toEqual([]);
  const warned = `${forced}\n<4>WARNING: drivers/vfio/group.c:510 at vfio_group_release+0x42/0x60, CPU#0: init/144`;
  expect(splats(warned).map(({ kind }) => kind)).toEqual(["WARNING"]);
});
