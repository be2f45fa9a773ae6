/** Small results made by hand, for the tests of reports. */
import { type Finding, RESULTS_FORMAT, RESULTS_VERSION, type Results } from "../campaign/results.ts";
import type { Program } from "../model/program.ts";
import { REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";

/** Binds a device and attaches it, with a call of many kinds on the way. */
export const SMALL_PROGRAM: Program = {
  machine: "reference",
  calls: [
    { op: "open", node: { kind: "iommufd" }, as: "@iommufd0" },
    { op: "open", node: { kind: "cdev", device: "nic0.0" }, as: "@device1" },
    {
      op: "ioctl",
      fd: "@device1",
      request: "VFIO_DEVICE_BIND_IOMMUFD",
      arg: { kind: "struct", struct: { fields: { argsz: 24, iommufd: "@iommufd0" } } },
      binds: { out_devid: "@devid2" },
    },
    {
      op: "ioctl",
      fd: "@iommufd0",
      request: "IOMMU_IOAS_MAP",
      arg: { kind: "struct", struct: { fields: { size: 40, flags: 5, iova: 0xffff_ffff_ffff_ffffn } } },
    },
    { op: "probe", probe: { kind: "driver", device: "nic0.0" } },
  ],
};

export const SMALL_FINDING: Finding = {
  id: "device-cdev-0a1b2c3d",
  kind: "difference",
  what: 'VFIO_DEVICE_BIND_IOMMUFD answered ok where EINVAL is right & "quotes" <b>show</b>.',
  rule: "VFIO-CDEV-BIND-4",
  by: "device-cdev",
  seed: 7,
  path: "3",
  program: SMALL_PROGRAM,
  originalCalls: 31,
  at: 2,
  listing: [
    { call: 'iommufd0 = open("/dev/iommu", O_RDWR)', observed: "3", expected: null, clause: null },
    {
      call: 'device1 = open("/dev/vfio/devices/<node of nic0.0>", O_RDWR)',
      observed: "4",
      expected: null,
      clause: null,
    },
    {
      call: "ioctl(device1, VFIO_DEVICE_BIND_IOMMUFD, {argsz=24, iommufd=iommufd0, out_devid→devid2})",
      observed: "0 {out_devid=1}",
      expected: "-1 EINVAL",
      clause: "VFIO-CDEV-BIND-4",
    },
  ],
  log: "WARNING: CPU: 0 PID: 1 at drivers/vfio/group.c:1 </pre><script>alert(1)</script>",
  reproduced: true,
  times: 3,
};

/** Results with one finding, a goal that was reached, one that was not and one that can't be. */
export const SMALL_RESULTS: Results = {
  format: RESULTS_FORMAT,
  version: RESULTS_VERSION,
  suite: "0.1.0",
  began: "2026-01-02T03:04:05.000Z",
  seconds: 75,
  target: {
    kind: "qemu",
    name: "Linux 7.2.1 (plain) in QEMU, machine iommu",
    release: "7.2.1",
    flavour: "plain",
    version: "7.2",
    kconfig: ["VFIO_GROUP", "VFIO_CONTAINER", "IOMMUFD", "VFIO_DEVICE_CDEV", "KVM", "VFIO_MDEV"],
    notes: ["KVM was not used, so times are those of an emulated machine."],
  },
  topology: REFERENCE_TOPOLOGY,
  seed: 7,
  properties: [
    {
      id: "device-cdev",
      title: "a device through its own node",
      kind: "property",
      programs: 1000,
      calls: 40_000,
      seconds: 60,
      goals: [
        { id: "bound", title: "a device was bound", reached: 12, attainable: true },
        { id: "moved", title: "a device was moved to another IOAS", reached: 0, attainable: true },
        { id: "pasid", title: "a PASID was attached", reached: 0, attainable: false },
      ],
      findings: [SMALL_FINDING],
      known: [{ id: "attach-fault-detaches", programs: 4 }],
      notComparable: [{ why: "the model does not cover attaching a PASID", programs: 2 }],
    },
    {
      id: "mdev",
      title: "mediated devices come and go",
      kind: "property",
      programs: 50,
      calls: 900,
      seconds: 15,
      goals: [],
      findings: [],
      known: [],
      notComparable: [],
    },
  ],
  clauses: [
    { id: "VFIO-CDEV-BIND-11", seen: 12 },
    { id: "VFIO-CDEV-BIND-6", seen: 3 },
  ],
  interrupted: null,
};

/** The same without what is wrong. */
export const CLEAN_RESULTS: Results = {
  ...SMALL_RESULTS,
  properties: SMALL_RESULTS.properties.map((property) => ({
    ...property,
    findings: [],
    goals: property.goals.filter(({ reached, attainable }) => reached > 0 || !attainable),
  })),
};
