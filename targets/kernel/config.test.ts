import { describe, expect, test } from "vitest";
import {
  formatFragment,
  missingOptions,
  offeredOptions,
  parseConfig,
  parseFragment,
  readFragments,
  selectOptions,
  verifyConfig,
} from "./config.ts";

const FRAGMENT = `
# VFIO
CONFIG_VFIO=y
CONFIG_VFIO_GROUP=y  # since 6.2
CONFIG_SAMPLE_VFIO_MDEV_MTTY=y  # since 6.3
CONFIG_SAMPLE_VFIO_MDEV_MTTY=m  # until 6.2
CONFIG_CMDLINE="quiet # not a comment"
# CONFIG_SECURITY is not set
`;
const options = parseFragment(FRAGMENT, "test.config");
const chosen = (version: { major: number; minor: number }) =>
  formatFragment(selectOptions(options, version)).split("\n");

describe("a fragment", () => {
  test("gives each kernel the options that it has", () => {
    expect(chosen({ major: 6, minor: 1 })).toEqual([
      "CONFIG_VFIO=y",
      "CONFIG_SAMPLE_VFIO_MDEV_MTTY=m",
      'CONFIG_CMDLINE="quiet # not a comment"',
      "# CONFIG_SECURITY is not set",
      "",
    ]);
    expect(chosen({ major: 6, minor: 2 })).toContain("CONFIG_VFIO_GROUP=y");
    expect(chosen({ major: 6, minor: 2 })).toContain("CONFIG_SAMPLE_VFIO_MDEV_MTTY=m");
    expect(chosen({ major: 6, minor: 12 })).toContain("CONFIG_SAMPLE_VFIO_MDEV_MTTY=y");
  });

  test("compares versions as numbers, not as text", () => {
    expect(chosen({ major: 6, minor: 10 })).toContain("CONFIG_VFIO_GROUP=y");
  });

  test("is overridden by what comes later", () => {
    const both = parseFragment(`${FRAGMENT}CONFIG_VFIO_GROUP=n`, "test.config");
    const selected = selectOptions(both, { major: 7, minor: 2 });
    expect(selected.filter(({ name }) => name === "CONFIG_VFIO_GROUP").map(({ value }) => value)).toEqual(["n"]);
  });

  test("names the line that is none", () => {
    expect(() => parseFragment("CONFIG_VFIO=y\nVFIO_PCI=y", "mine.config")).toThrow(
      "mine.config, line 2: “VFIO_PCI=y” is not of the form CONFIG_NAME=value.",
    );
  });
});

test("a development tree is offered the options of the next release, and must keep only its own", () => {
  const version = { major: 6, minor: 1 };
  const offered = offeredOptions(options, version).map(({ name, value }) => `${name}=${value}`);
  expect(offered).toContain("CONFIG_VFIO_GROUP=y");
  expect(offered).toContain("CONFIG_SAMPLE_VFIO_MDEV_MTTY=m");
  expect(offered).not.toContain("CONFIG_SAMPLE_VFIO_MDEV_MTTY=y");
});

describe("a .config", () => {
  const config = parseConfig("#\n# Linux\n#\nCONFIG_VFIO=y\n# CONFIG_VFIO_GROUP is not set\nCONFIG_HZ=250\n");

  test("is read with what is not set", () => {
    expect(Object.fromEntries(config)).toEqual({ CONFIG_VFIO: "y", CONFIG_VFIO_GROUP: "n", CONFIG_HZ: "250" });
  });

  test("has what was asked for, or the missing options are named", () => {
    const asked = parseFragment(
      "CONFIG_VFIO=y\nCONFIG_VFIO_GROUP=n\nCONFIG_KASAN=n\nCONFIG_HZ=1000\nCONFIG_IOMMUFD=y",
      "test",
    );
    expect(missingOptions(asked, config)).toEqual(["CONFIG_HZ=1000", "CONFIG_IOMMUFD=y"]);
    expect(() => verifyConfig(asked, config, "6.1 plain")).toThrow(
      /^Kconfig of 6\.1 plain did not grant CONFIG_HZ=1000, CONFIG_IOMMUFD=y: /,
    );
  });
});

describe("the flavours of this suite", () => {
  test("debug is plain and more", async () => {
    const names = async (flavour: "plain" | "debug") =>
      selectOptions(await readFragments(flavour), { major: 7, minor: 2 }).map(({ name }) => name);
    const debug = await names("debug");
    expect(debug).toEqual(expect.arrayContaining(await names("plain")));
    expect(debug).toContain("CONFIG_PROVE_LOCKING");
  });

  test("6.1 has neither iommufd nor a cdev; 6.12 has both", async () => {
    const at = async (minor: number) =>
      selectOptions(await readFragments("plain"), { major: 6, minor }).map(({ name }) => name);
    expect(await at(1)).not.toContain("CONFIG_IOMMUFD");
    expect(await at(12)).toEqual(expect.arrayContaining(["CONFIG_IOMMUFD", "CONFIG_VFIO_DEVICE_CDEV"]));
  });
});
