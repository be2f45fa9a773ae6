import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Finding, Results } from "../campaign/results.ts";
import { parseProgram } from "../model/format/program-file.ts";
import { compareResults, printComparison } from "./compare.ts";
import { MAX_HTML, toHtml } from "./html.ts";
import { formatResults, parseResults, ResultsFileError } from "./json.ts";
import { toJunit } from "./junit.ts";
import { toKtap } from "./ktap.ts";
import { toMarkdown } from "./markdown.ts";
import { expectationsFrom } from "./reproducer.ts";
import { CLEAN_RESULTS, SMALL_FINDING, SMALL_PROGRAM, SMALL_RESULTS } from "./small-results.ts";
import { verdictOf } from "./verdict.ts";
import { ReportError, writeReports } from "./write.ts";

const expectations = expectationsFrom(SMALL_RESULTS);

/** The results with these findings in place of their own. */
function withFindings(findings: readonly Finding[]): Results {
  return {
    ...SMALL_RESULTS,
    properties: SMALL_RESULTS.properties.map((each, i) => (i === 0 ? { ...each, findings } : each)),
  };
}

describe("the verdict", () => {
  it("is a sentence for each way that a run can end", () => {
    expect(verdictOf(SMALL_RESULTS)).toMatch(/ does not conform: 1 finding in 1,050 programs\.$/);
    expect(verdictOf(CLEAN_RESULTS)).toMatch(/ conforms: 1,050 programs, /);
    expect(verdictOf(withFindings([]))).toMatch(/^Too little of .*: 1 goal not reached\.$/);
    expect(verdictOf({ ...CLEAN_RESULTS, properties: [] })).toMatch(/^Nothing was run on /);
    expect(verdictOf({ ...CLEAN_RESULTS, interrupted: "QEMU ended." })).toMatch(/broke off: QEMU ended\.$/);
  });
});

describe("results.json", () => {
  const text = formatResults(SMALL_RESULTS);
  const refusal = (given: string): string => {
    try {
      parseResults(given, "r.json");
    } catch (thrown) {
      if (thrown instanceof ResultsFileError) return thrown.message;
      throw thrown;
    }
    return "was read";
  };

  it("brings back the results, wide numbers too", () => {
    expect(parseResults(text, "r.json")).toEqual(SMALL_RESULTS);
  });

  it("is refused where it is something else, or of another version", () => {
    expect(refusal("")).toMatch(/^r\.json is no JSON/);
    expect(refusal("{}")).toMatch(/^r\.json holds no results/);
    expect(refusal(text.replace('"version": 1', '"version": 2'))).toMatch(/version 2 .* use a newer suite\.$/);
    expect(refusal(text.replace('"reproduced": true', '"reproduced": 1'))).toMatch(
      /^r\.json can't be read at properties\.0\.findings\.0\.reproduced/,
    );
    expect(refusal(text.replace("IOMMU_IOAS_MAP", "IOMMU_NONE"))).toMatch(/does not know\.$/);
    expect(refusal(text.replace('"id": "device-cdev-0a1b2c3d"', '"id": "../../etc/passwd"'))).toMatch(
      /can be a file's name/,
    );
  });
});

describe("report.html", () => {
  const html = toHtml(SMALL_RESULTS, expectations);

  it("says what was found, against which rule, on what", () => {
    expect(html).toContain("Linux 7.2.1 (plain) in QEMU, machine iommu");
    expect(html).toContain("does not conform: 1 finding");
    expect(html).toContain("unknown flags and a negative iommufd are refused");
    expect(html).toMatch(/<tr class="marked"><td class="number">2<\/td>/);
    expect(html).toContain("include/uapi/linux/vfio.h:VFIO_DEVICE_BIND_IOMMUFD");
    expect(html).toContain("static void run(void)");
  });

  it("shows every clause that holds for this kernel, and marks what was not seen", () => {
    expect(html).toContain('<tr id="VFIO-CDEV-BIND-11"><td>');
    expect(html).toContain('<tr id="VFIO-CDEV-BIND-1" class="unseen">');
    expect(html).toContain('<tr id="VFIO-CDEV-BIND-4" class="broken">');
    expect(html).not.toContain('<tr id="KVM-VFIO-ADD-3"');
    expect(html).toMatch(/<tr id="IOMMUFD-UNMAP-7" class="unseen">.*out of reach: programs have one task/);
    expect(html).toMatch(/<tr id="VFIO-PCI-HOTINFO-11" class="unseen">.*out of reach: it takes the machine noiommu/);
  });

  it("keeps text from becoming markup, and needs nothing from elsewhere", () => {
    expect(html).not.toContain("<script>");
    expect(html).not.toContain("<b>show</b>");
    expect(html).toContain("&lt;node of nic0.0&gt;");
    expect(html).not.toMatch(/(?:src|href)="(?!#)/);
    expect(html).not.toContain("undefined");
  });

  it("stays under its size however much was found, and says what is left out", () => {
    const log = "x".repeat(100_000);
    const many = Array.from({ length: 1000 }, (_, i) => ({ ...SMALL_FINDING, id: `f-${i}`, log }));
    const large = toHtml(withFindings(many), expectations);
    expect(Buffer.byteLength(large)).toBeLessThanOrEqual(MAX_HTML);
    expect(large).toMatch(/Only \d+ of 1000 findings are shown here/);
    expect(large).toMatch(/Kernel logs are cut to their last \d+ characters/);
  });
});

describe("junit.xml", () => {
  const xml = toJunit(SMALL_RESULTS);

  it("has a suite for each property, a failure for a finding, a skip for a goal out of reach", () => {
    expect(xml.match(/<testsuite /g)).toHaveLength(2);
    expect(xml).toMatch(/<testsuite name="device-cdev"[^>]* failures="2" errors="0" skipped="1"/);
    expect(xml).toMatch(/<failure message="VFIO_DEVICE_BIND_IOMMUFD answered ok.*type="difference"/);
    expect(xml).toMatch(/<testsuite name="mdev"[^>]* failures="0"/);
  });

  it("is well-formed whatever a log has in it", () => {
    const odd = toJunit(withFindings([{ ...SMALL_FINDING, log: "a\u0000b\u001b[31m]]>\ud800" }]));
    for (const forbidden of ["\u0000", "\u001b", "\ud800"]) expect(odd).not.toContain(forbidden);
    expect(odd.match(/]]>/g)).toHaveLength((odd.match(/<!\[CDATA\[/g) ?? []).length);
  });
});

describe("report.ktap", () => {
  it("nests goals and findings under properties, with plans that count right", () => {
    expect(
      toKtap(SMALL_RESULTS)
        .split("\n")
        .filter((line) => !line.trim().startsWith("#")),
    ).toEqual([
      "KTAP version 1",
      "1..2",
      "  KTAP version 1",
      "  1..4",
      "  not ok 1 device-cdev-0a1b2c3d",
      "  ok 2 goal bound",
      "  not ok 3 goal moved",
      "  ok 4 goal pasid # SKIP out of reach here: a PASID was attached",
      "not ok 1 device-cdev",
      "  KTAP version 1",
      "  1..1",
      "  ok 1 every program",
      "ok 2 mdev",
      "",
    ]);
  });

  it("tells that a run broke off", () => {
    expect(toKtap({ ...CLEAN_RESULTS, interrupted: "QEMU\nended." })).toContain(
      "not ok 3 campaign # ERROR QEMU ended.",
    );
  });
});

describe("report.md", () => {
  const text = toMarkdown(SMALL_RESULTS);

  it("tells the smallest program, the rule, and how to see it again", () => {
    expect(text).toContain("    >  2  ioctl(device1, VFIO_DEVICE_BIND_IOMMUFD,");
    expect(text).toContain("            expected -1 EINVAL   [VFIO-CDEV-BIND-4]");
    expect(text).toContain("replay findings/device-cdev-0a1b2c3d.json");
    expect(text).toContain("- device-cdev: a device was moved to another IOAS");
    expect(text).toContain("    Clauses:  2 of 2 seen");
  });

  it("keeps prose within a mail's width", () => {
    const prose = text.split("\n").filter((line) => !line.startsWith("    ") && !line.startsWith("#"));
    expect(Math.max(...prose.map((line) => line.length))).toBeLessThanOrEqual(72);
  });
});

describe("a comparison", () => {
  it("tells what appeared, went away, and is seen now", () => {
    const later: Results = {
      ...withFindings([{ ...SMALL_FINDING, id: "other" }]),
      clauses: [
        { id: "VFIO-CDEV-BIND-11", seen: 1 },
        { id: "VFIO-CDEV-BIND-6", seen: 0 },
        { id: "VFIO-CDEV-BIND-8", seen: 2 },
      ],
    };
    const comparison = compareResults(SMALL_RESULTS, later);
    expect(comparison.appeared.map(({ id }) => id)).toEqual(["other"]);
    expect(comparison.wentAway.map(({ id }) => id)).toEqual(["device-cdev-0a1b2c3d"]);
    expect(comparison.newlySeen).toEqual(["VFIO-CDEV-BIND-8"]);
    expect(comparison.noLongerSeen).toEqual(["VFIO-CDEV-BIND-6"]);
    expect(printComparison(SMALL_RESULTS, later)).toMatch(/1 finding appeared, 1 went away, 0 stayed\.\n$/);
  });
});

describe("writing reports", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), "reports-"));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it("writes every file, and nothing besides", async () => {
    await writeReports(SMALL_RESULTS, { directory });
    expect((await readdir(directory, { recursive: true })).sort()).toEqual([
      "findings",
      "findings/device-cdev-0a1b2c3d.c",
      "findings/device-cdev-0a1b2c3d.json",
      "findings/device-cdev-0a1b2c3d.kselftest.c",
      "findings/device-cdev-0a1b2c3d.txt",
      "junit.xml",
      "report.html",
      "report.ktap",
      "report.md",
      "results.json",
    ]);
    const program = await readFile(path.join(directory, "findings/device-cdev-0a1b2c3d.json"), "utf8");
    expect(parseProgram(program, "p")).toEqual(SMALL_PROGRAM);
  });

  it("removes findings of an earlier run, and nothing that is not its own", async () => {
    await writeReports(SMALL_RESULTS, { directory });
    await writeFile(path.join(directory, "findings/mine.txt"), "");
    await writeReports(CLEAN_RESULTS, { directory });
    expect(await readdir(path.join(directory, "findings"))).toEqual(["mine.txt"]);
  });

  it("says in a sentence why it can't", async () => {
    await writeFile(path.join(directory, "file"), "");
    const writing = writeReports(SMALL_RESULTS, { directory: path.join(directory, "file") });
    await expect(writing).rejects.toThrow(ReportError);
    await expect(writing).rejects.toThrow(/results\.json can't be written: a part of the path is no directory/);
  });
});
