import { describe, expect, test } from "vitest";
import { explainAptFailure, formatAptConfig, formatSourcesList, OutdatedListsError, parsePackage } from "./apt.ts";

test("the sources list has the archive's suites and keyring", () => {
  const archive = {
    uri: "http://mirror.example.org/debian",
    suite: "bookworm",
    components: ["main"],
    signedBy: undefined,
  };
  expect(formatSourcesList(archive, ["bookworm", "bookworm-backports"], "/keys/debian.gpg")).toBe(
    "deb [signed-by=/keys/debian.gpg] http://mirror.example.org/debian bookworm main\n" +
      "deb [signed-by=/keys/debian.gpg] http://mirror.example.org/debian bookworm-backports main\n",
  );
  expect(formatSourcesList(archive, ["bookworm"], undefined)).toBe(
    "deb http://mirror.example.org/debian bookworm main\n",
  );
});

test("nothing of the system's state is named in the configuration", () => {
  const config = formatAptConfig("/cache/apt");
  expect(config).toContain('Dir::State "/cache/apt";');
  expect(config).toContain('Dir::Cache "/cache/apt/cache";');
  expect(config).toContain("#clear APT::Update::Post-Invoke;");
  expect(config).not.toContain("/var/");
});

test("a package is read from what apt-cache shows", () => {
  const lines = [
    "Package: linux-source-6.12",
    "Version: 6.12.1-1~bpo12+1",
    "Filename: pool/main/l/linux/linux-source-6.12_6.12.1-1~bpo12+1_all.deb",
    "Size: 1000",
    "SHA256: 00ff",
  ];
  expect(parsePackage(lines)).toEqual({
    name: "linux-source-6.12",
    version: "6.12.1-1~bpo12+1",
    file: "linux-source-6.12_6.12.1-1~bpo12+1_all.deb",
    size: 1000,
    sha256: "00ff",
  });
  expect(parsePackage(lines.slice(0, 2))).toBeUndefined();
});

describe("what apt complains of becomes a sentence that helps", () => {
  const explain = (line: string) => explainAptFailure({ stdout: [], stderr: [line] }, "/cache");

  test.each([
    [
      "W: Failed to fetch http://mirror.example.org/x  Temporary failure resolving 'mirror.example.org'",
      /cannot be reached/,
    ],
    ["E: Failed to fetch http://mirror.example.org/x  Could not connect to mirror.example.org:80", /cannot be reached/],
    ["W: GPG error: http://mirror.example.org x InRelease: NO_PUBKEY 648ACFD622F3D138", /debian-archive-keyring/],
    ["E: Write error - write (28: No space left on device)", /^the disk with \/cache is full/],
    ["E: Something new", /^apt failed: E: Something new; mend that, or give a source tree with --tree/],
  ])("%s", (line, sentence) => {
    expect(explain(line).message).toMatch(sentence);
  });

  test("lists that promise what is gone are told apart, as fresh ones may help", () => {
    expect(explain("E: Failed to fetch http://mirror.example.org/x.deb  404  Not Found")).toBeInstanceOf(
      OutdatedListsError,
    );
  });
});
