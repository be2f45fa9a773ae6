import { expect, test } from "vitest";
import { identifyRelease, planRelease } from "./release.ts";

const { signal } = new AbortController();
const plan = (version: string, extra: readonly string[] = []) =>
  planRelease({ kind: "release", version, flavour: "plain", extra }, signal);

test.each(["6", "v6.12", "6.12.95", "latest", "6.12 "])("“%s” is no release", async (version) => {
  await expect(plan(version)).rejects.toThrow(`“${version}” is no kernel release: give one such as 6.12`);
});

test("the key changes with the source and with every option, and with nothing else", async () => {
  const key = identifyRelease(await plan("6.12"), "6.12.1-1").key;
  expect(key).toMatch(/^6\.12-plain-[0-9a-f]{12}$/);
  expect(identifyRelease(await plan("6.12"), "6.12.1-1").key).toBe(key);
  expect(identifyRelease(await plan("6.12"), "6.12.2-1").key).not.toBe(key);
  expect(identifyRelease(await plan("6.12", ["CONFIG_VFIO_GROUP=n"]), "6.12.1-1").key).not.toBe(key);
  expect(identifyRelease(await plan("6.12", ["CONFIG_VFIO=y"]), "6.12.1-1").key).toBe(key);
});
