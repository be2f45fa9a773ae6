/** Calls that run out of memory: refused without a trace, so that the same call succeeds afterwards. */
import type { Call } from "../model/program.ts";
import {
  addFile,
  allocIoas,
  attach,
  bind,
  close,
  countVms,
  createKvmVfio,
  createMdev,
  createVm,
  getDeviceFd,
  map,
  openCdev,
  openContainer,
  openGroup,
  openIommufd,
  openKvm,
  removeMdev,
  setContainer,
  setIommu,
  throughContainer,
  unsetContainer,
} from "./calls.ts";
import { CDEV, LEGACY } from "./needs.ts";
import { gives, refused, type Scenario, type Step, scenario } from "./scenario.ts";
import { mapDma } from "./type1.ts";

/** Where devices write to raise an interrupt. */
const INTERRUPTS = 0xfee0_0000;

/** The call with its nth allocation failing; refused, whatever kernel it is, where that is one which it can't do without. */
const short = (call: Call, nth = 1): Step => refused("ENOMEM", { ...call, failNth: nth });

/** The call short of memory first, then as it is. */
const twice = (call: Call): (Call | Step)[] => [short(call), call];

/** The room of a mdpy-vga's parent, without the device that stands. */
const displays = [0, 1, 2].map((n) => `mdev${n}`);
const createDisplay = (device: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "mdev-create", parent: "mdpy", type: "mdpy-vga" },
  text: { device },
});

/**
 * Makes and removes a device again and again, with one allocation failing after the other. Which of them it is that matters
 * differs from kernel to kernel; all of these are more than the model counts.
 */
const createWith = (first: number, count: number): Call[] =>
  Array.from({ length: count }, (_, i) => ({ ...createMdev(), failNth: first + i })).flatMap((create) => [
    create,
    removeMdev(),
  ]);

/** The numbers from one up to another, which is not among them. */
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

export const MEMORY: readonly Scenario[] = [
  scenario({
    id: "no-memory-cdev",
    title: "a device goes through its own node to an IOAS, each call short of memory once",
    needs: CDEV,
    steps: [
      ...twice(openIommufd()),
      ...twice(openCdev("mtty0")),
      ...twice(bind("@device", "@iommufd")),
      ...twice(allocIoas("@iommufd")),
      attach("@device", "@ioas"),
      short(map("@iommufd", "@ioas", 0, 4096), 2),
      map("@iommufd", "@ioas", 0, 4096),
    ],
  }),
  scenario({
    id: "no-memory-group",
    title: "a device goes through its group and a container, each call short of memory once",
    needs: LEGACY,
    steps: [
      ...twice(openContainer()),
      ...twice(openGroup("mtty0")),
      setContainer("@group", "@container"),
      ...twice(setIommu("@container")),
      ...twice(getDeviceFd("@group", "mtty0")),
    ],
  }),
  scenario({
    id: "no-memory-kvm",
    title: "a VM gets to know a device, each call short of memory once, and nothing keeps it alive in the end",
    needs: { ...CDEV, kconfig: [...CDEV.kconfig, "KVM"] },
    steps: [
      openKvm(),
      ...twice(createVm()),
      ...twice(createKvmVfio()),
      openCdev("mtty0"),
      ...twice(addFile("@kvm-vfio", "@device")),
      { ...close("@kvm-vfio"), failNth: 1 },
      { ...close("@vm"), failNth: 1 },
      gives(0, countVms),
    ],
  }),
  scenario({
    id: "no-memory-mdev",
    title: "a mediated device is made after one that there was no memory for",
    steps: [...twice(createMdev())],
  }),
  scenario({
    id: "mdev-create-leaks",
    breaks: "mdev-create-leaks",
    title: "a mediated device that there was no memory for takes no instance of its parent",
    steps: [short(createDisplay("mdev0"), 3), ...displays.map(createDisplay)],
  }),
  scenario({
    id: "acpi-count-lost",
    breaks: "acpi-count-lost",
    title: "a function can be opened and closed again after it was opened with little memory",
    needs: CDEV,
    steps: [
      openIommufd(),
      openCdev("edu0"),
      { ...bind("@device", "@iommufd"), failNth: 36 },
      close("@device"),
      openCdev("edu0"),
      bind("@device", "@iommufd"),
      close("@device"),
    ],
  }),
  scenario({
    id: "owner-release-fails",
    breaks: "owner-release-fails",
    title: "a group leaves its container however little memory there is",
    needs: { ...LEGACY, since: "6.5" },
    steps: [
      openContainer(),
      openGroup("edu0"),
      setContainer("@group", "@container"),
      { ...unsetContainer("@group"), failNth: 1 },
    ],
  }),
  scenario({
    id: "group-left-behind",
    breaks: "group-left-behind",
    title: "a group behind a bridge joins a container after it could not for want of memory",
    needs: LEGACY,
    steps: [
      openContainer(),
      openGroup("bridged0"),
      // Past what the model counts: how many the driver takes is its own affair.
      ...Array.from({ length: 12 }, (_, i) => ({ ...setContainer("@group", "@container"), failNth: 2 + i })).flatMap(
        (joins) => [joins, unsetContainer("@group")],
      ),
      setContainer("@group", "@container"),
    ],
  }),
  scenario({
    id: "reserved-regions-lost",
    breaks: "reserved-regions-lost",
    title: "what a device reserves can't be mapped, however little memory there was when it joined",
    needs: LEGACY,
    steps: Array.from({ length: 12 }, (_, i) => i + 1).flatMap((nth) => {
      const chosen = { ...setIommu("@container"), failNth: nth };
      return [
        openContainer(),
        openGroup("edu0"),
        setContainer("@group", "@container"),
        // The model's container takes memory for itself, and for the group that joins.
        nth <= 2 ? refused("ENOMEM", chosen) : chosen,
        refused("EINVAL", mapDma("@container", INTERRUPTS, 4096)),
        close("@group"),
        close("@container"),
      ];
    }),
  }),
  scenario({
    id: "node-missing",
    breaks: "node-missing",
    title: "a mediated device that is made has its group's node, however little memory there was",
    needs: { kconfig: ["VFIO_GROUP"] },
    steps: Array.from({ length: 40 }, (_, i) => ({ ...createMdev(), failNth: 50 + i })).flatMap((create) => [
      create,
      { op: "probe", probe: { kind: "group-node", device: "mdev0" } },
      removeMdev(),
    ]),
  }),
  scenario({
    id: "dev-set-missing",
    breaks: "dev-set-missing",
    title: "a mediated device that is made can be opened, however little memory there was",
    needs: LEGACY,
    // The set comes before the group's node, which may be missing as well, or long after it (6.1).
    steps: [...range(15, 55), ...range(55, 95).reverse()].flatMap((failNth) => [
      { ...createMdev(), failNth },
      ...throughContainer("mdev0"),
      close("@device"),
      close("@group"),
      close("@container"),
      removeMdev(),
    ]),
  }),
  scenario({
    id: "probe-removes-groups",
    breaks: "probe-removes-groups",
    title: "a mediated device whose attributes can't be made for want of memory brings no warning",
    needs: { until: "6.11" },
    steps: createWith(60, 60),
  }),
  scenario({
    id: "group-leaks",
    breaks: "group-leaks",
    title: "a mediated device whose group can't be registered for want of memory brings no warning",
    steps: createWith(30, 60),
  }),
];
