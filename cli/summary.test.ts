import { describe, expect, it } from "vitest";
import { CLEAN_RESULTS, SMALL_FINDING, SMALL_RESULTS } from "../reports/small-results.ts";
import { summarise } from "./summary.ts";

const plain = { color: false, directory: "out" };

describe("the summary of a run", () => {
  const text = summarise(SMALL_RESULTS, plain);

  it("says what was done on what", () => {
    expect(text).toContain(
      "Linux 7.2.1 (plain) in QEMU, machine iommu\n  ran 1,050 programs of 40,900 calls in 1 min 15 s, seed 7",
    );
    expect(text).toContain("saw 2 of the 2 clauses that apply");
  });

  it("names the known deviations that were met", () => {
    expect(text).toMatch(
      /Known deviations that were met:\n {2}attach-fault-detaches \(4 programs\): VFIO_DEVICE_ATTACH/,
    );
  });

  it("tells a finding: sentence, rule, the smallest program with the call that shows it, how to replay it", () => {
    expect(text).toContain(`1. ${SMALL_FINDING.what}\n   VFIO-CDEV-BIND-4: `);
    expect(text).toContain(
      [
        '   1  iommufd0 = open("/dev/iommu", O_RDWR) = 3',
        '   2  device1 = open("/dev/vfio/devices/<node of nic0.0>", O_RDWR) = 4',
        ">> 3  ioctl(device1, VFIO_DEVICE_BIND_IOMMUFD, {argsz=24, iommufd=iommufd0, out_devid→devid2}) = 0 {out_devid=1}",
        "      expected -1 EINVAL   [VFIO-CDEV-BIND-4]",
      ].join("\n"),
    );
    expect(text).toContain("Seen in 3 programs, shrunk from 31 calls.");
    expect(text).toContain("Replay: vfio-conformance replay out/findings/device-cdev-0a1b2c3d.json");
  });

  it("names goals that could have been reached and were not", () => {
    expect(text).toContain("Goals that were not reached:\n  device-cdev: a device was moved to another IOAS");
    expect(text).not.toContain("a PASID was attached");
  });

  it("ends with the verdict, and with where it broke off", () => {
    expect(text.trimEnd().split("\n").at(-1)).toMatch(/does not conform: 1 finding in 1,050 programs\.$/);
    expect(summarise(CLEAN_RESULTS, plain)).toMatch(/conforms: 1,050 programs/);
    const brokenOff = { ...SMALL_RESULTS, interrupted: "The campaign was interrupted." };
    expect(summarise(brokenOff, plain)).toMatch(/The run broke off early: The campaign was interrupted\.\n$/);
  });

  it("marks by colour where there is one", () => {
    expect(summarise(SMALL_RESULTS, { ...plain, color: true })).toContain("\u001b[31m");
    expect(text).not.toContain("\u001b[");
  });

  it("gives the reason why scenarios were not played", () => {
    const [first] = CLEAN_RESULTS.properties;
    if (!first) throw new Error("no property");
    const skipped = (id: string) => ({
      ...first,
      id,
      kind: "scenario" as const,
      programs: 0,
      notComparable: [{ why: "The machine has no KVM.", programs: 0 }],
    });
    const results = { ...CLEAN_RESULTS, properties: [first, skipped("kvm-group"), skipped("kvm-outlived")] };
    expect(summarise(results, plain)).toContain("  The machine has no KVM. kvm-group, kvm-outlived");
  });
});
