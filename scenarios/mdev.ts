/** Mediated devices through sysfs: what makes them, what removes them, and what their types and drivers say meanwhile. */
import type { Attribute, Call, Probe } from "../model/program.ts";
import { close, createMdev, getDeviceFd, getInfo, openGroup, removeMdev, throughContainer } from "./calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const NEEDS = { kconfig: ["VFIO_MDEV"] } as const;
const UUID = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1000";

const write = (attribute: Attribute, text: string): Call => ({ op: "sysfs-write", attribute, text: { text } });
const read = (attribute: Attribute): Call => ({ op: "sysfs-read", attribute });
const probe = (what: Probe): Call => ({ op: "probe", probe: what });
const create = (text: string, parent = "mtty", type = "mtty-1"): Call =>
  write({ kind: "mdev-create", parent, type }, text);
const remove = (text: string): Call => write({ kind: "mdev-remove", device: "mdev0" }, text);
const driver = (name: string, file: "bind" | "unbind", text = UUID): Call =>
  write({ kind: "mdev-driver", driver: name, file }, text);
const type = (parent: string, name: string, file: "name" | "description" | "device_api"): Attribute => ({
  kind: "mdev-type",
  parent,
  type: name,
  file,
});

const vendor = (file: "sample_mdev_dev" | "resolution"): Attribute => ({ kind: "mdev-vendor", device: "mdev0", file });

/** UUIDs that no machine's device has. */
const crowd = (count: number): string[] =>
  Array.from({ length: count }, (_, n) => `0d0e0a0d-0000-4000-8000-${n.toString(16).padStart(12, "0")}`);

const removed = (device: string): Call => removeMdev(device);

export const MDEV: readonly Scenario[] = [
  scenario({
    id: "mdev-uuid-forms",
    title: "a UUID is taken in either case and with one more character; anything else is none",
    needs: NEEDS,
    steps: [
      gives(0, create("")),
      refused("EINVAL", create("not-a-uuid")),
      refused("EINVAL", create(UUID.slice(0, -1))),
      refused("EINVAL", create(`${UUID}\n\n`)),
      refused("EINVAL", create(` ${UUID}`)),
      refused("EINVAL", create(UUID.replaceAll("-", ""))),
      refused("EINVAL", create(`${UUID.slice(0, -1)}g`)),
      gives(37, create(`${UUID.toUpperCase()}\n`)),
      refused("EEXIST", create(UUID)),
      removeMdev(),
      gives(37, create(`${UUID}x`)),
      gives(0, probe({ kind: "mdev-type", device: "mdev0" })),
    ],
  }),
  scenario({
    id: "mdev-remove-texts",
    title: "a number other than 0 removes a device; once it is gone so is the file",
    needs: NEEDS,
    steps: [
      refused("ENOENT", remove("1")),
      createMdev(),
      refused("EINVAL", remove("x")),
      refused("EINVAL", remove("-1")),
      refused("EINVAL", remove("\n")),
      gives(1, remove("0")),
      refused("EACCES", read({ kind: "mdev-remove", device: "mdev0" })),
      gives(5, remove("0x10\n")),
      refused("ENOENT", remove("1")),
      refused("ENOENT", read({ kind: "mdev-remove", device: "mdev0" })),
    ],
  }),
  scenario({
    id: "mdev-types",
    title: "types say what they are, and can't be written",
    needs: NEEDS,
    steps: [
      gives("Single port serial\n".length, read(type("mtty", "mtty-1", "name"))),
      gives("vfio-pci\n".length, read(type("mtty", "mtty-2", "device_api"))),
      refused("ENOENT", read(type("mtty", "mtty-1", "description"))),
      gives("virtual display, 640x480 framebuffer\n".length, read(type("mdpy", "mdpy-vga", "description"))),
      refused("ENOENT", read(type("mtty", "mtty-3", "name"))),
      refused("EACCES", write(type("mtty", "mtty-1", "name"), "x")),
      refused("EACCES", write({ kind: "available_instances", parent: "mtty", type: "mtty-1" }, "1")),
      refused("EACCES", read({ kind: "mdev-create", parent: "mtty", type: "mtty-1" })),
    ],
  }),
  scenario({
    id: "mdev-parents-full",
    title: "a parent that is used up makes no more, whatever the type; a duplicate is refused as one",
    needs: NEEDS,
    steps: [
      ...crowd(11).map((uuid) => create(uuid, "mtty", "mtty-2")),
      gives(2, read({ kind: "available_instances", parent: "mtty", type: "mtty-1" })),
      refused("ENOSPC", create(UUID, "mtty", "mtty-2")),
      create(UUID, "mtty", "mtty-1"),
      refused("EEXIST", create(UUID, "mtty", "mtty-1")),
      refused("EEXIST", create(UUID, "mdpy", "mdpy-vga")),
      ...crowd(11).map(removed),
      removeMdev(),
      ...crowd(3).map((uuid) => create(uuid, "mdpy", "mdpy-vga")),
      refused("EUSERS", create(UUID, "mdpy", "mdpy-xga")),
      ...crowd(3).map(removed),
    ],
  }),
  scenario({
    id: "mdev-unbound",
    title: "a mediated device can lose its driver, and gets none again; it is there until it is removed",
    needs: NEEDS,
    steps: [
      createMdev(),
      gives("This is MDEV \n".length + UUID.length, read(vendor("sample_mdev_dev"))),
      refused("ENOENT", read(vendor("resolution"))),
      refused("ENODEV", driver("mdpy", "unbind")),
      refused("ENODEV", driver("mtty", "bind")),
      gives(36, driver("mtty", "unbind")),
      refused("ENODEV", driver("mtty", "unbind")),
      refused("ENODEV", driver("mtty", "bind")),
      gives(36, write({ kind: "mdev-bus", file: "drivers_probe" }, UUID)),
      refused("ENOENT", read(vendor("sample_mdev_dev"))),
      refused("ENOENT", probe({ kind: "driver", device: "mdev0" })),
      refused("ENOENT", probe({ kind: "group-members", device: "mdev0" })),
      refused("ENOENT", openGroup("mdev0")),
      gives(0, probe({ kind: "mdev-type", device: "mdev0" })),
      gives(1, remove("1")),
      createMdev(),
      gives(0, probe({ kind: "driver", device: "mdev0" })),
    ],
  }),
  scenario({
    id: "mdev-group-outlives",
    title: "a group's file does not keep its device from going, and is of no use then",
    needs: { kconfig: ["VFIO_MDEV", "VFIO_GROUP", "VFIO_CONTAINER"] },
    steps: [
      createMdev(),
      ...throughContainer("mdev0"),
      getInfo("@device"),
      close("@device"),
      removeMdev(),
      refused("ENODEV", getDeviceFd("@group", "mdev0")),
      createMdev(),
      openGroup("mdev0", "@group1"),
      refused("ENODEV", getDeviceFd("@group", "mdev0")),
    ],
  }),
  scenario({
    id: "mdev-autoprobe",
    title: "devices are made with their driver whether or not the bus looks for drivers",
    needs: NEEDS,
    steps: [
      gives(2, read({ kind: "mdev-bus", file: "drivers_autoprobe" })),
      gives(1, write({ kind: "mdev-bus", file: "drivers_autoprobe" }, "0")),
      createMdev(),
      gives(0, probe({ kind: "driver", device: "mdev0" })),
      gives(1, write({ kind: "mdev-bus", file: "drivers_autoprobe" }, "1")),
      refused("ENODEV", write({ kind: "mdev-bus", file: "drivers_probe" }, "nonesuch")),
      refused("EACCES", read({ kind: "mdev-bus", file: "drivers_probe" })),
    ],
  }),
];
