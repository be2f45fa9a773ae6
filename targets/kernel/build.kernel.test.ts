// Needs Debian's archive once, or the cache: builds for some ten minutes when the kernel is in neither.

import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { ensureKernel } from "./build.ts";
import { releaseOf } from "./image.ts";

test("7.2 plain has the whole API built in", { timeout: 3_600_000 }, async () => {
  const request = { kind: "release", version: "7.2", flavour: "plain" } as const;
  const kernel = await ensureKernel(request, () => {}, new AbortController().signal);
  expect(kernel.version).toEqual({ major: 7, minor: 2 });
  expect(releaseOf(await readFile(kernel.bzImage))).toBe(kernel.release);
  for (const option of ["VFIO_GROUP", "VFIO_DEVICE_CDEV", "IOMMUFD_TEST", "SAMPLE_VFIO_MDEV_MTTY", "KVM_AMD"]) {
    expect(kernel.config.get(`CONFIG_${option}`), option).toBe("y");
  }
  expect(kernel.modules).toEqual([]);
});
