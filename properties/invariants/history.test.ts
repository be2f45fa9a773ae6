import { expect, test } from "vitest";
import type { Call } from "../../model/program.ts";
import { gateBeforeAccess, History } from "./history.ts";

const addFile = (fd: string): Call => ({
  op: "ioctl",
  fd,
  request: "KVM_SET_DEVICE_ATTR",
  arg: { kind: "struct", struct: { fields: {} } },
});

test("a number that came back in a struct and was closed twice may be any file's", () => {
  const history = new History([gateBeforeAccess]);
  const run: readonly (readonly [Call, number])[] = [
    [{ op: "open", node: { kind: "cdev", device: "mtty0" }, as: "@device" }, 4],
    // @kvm-vfio is 5: closed, given to a copy of the device's file, and closed again.
    [{ op: "close", fd: "@kvm-vfio" }, 0],
    [{ op: "dup", fd: "@device", as: "@copy" }, 5],
    [{ op: "close", fd: "@kvm-vfio" }, 0],
    // Another such device is 5 now.
    [addFile("@copy"), 0],
  ];
  expect(run.map(([call, ret], at) => history.after(call, { ret }, at))).toEqual(run.map(() => undefined));
});

test("a device's node gives nothing away before it is bound", () => {
  const history = new History([gateBeforeAccess]);
  history.after({ op: "open", node: { kind: "cdev", device: "mtty0" }, as: "@device" }, { ret: 4 }, 0);
  expect(history.after(addFile("@device"), { ret: 0 }, 1)).toMatchObject({ invariant: "gate-before-access", at: 1 });
});
