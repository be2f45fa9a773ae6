/** The command line as a user starts it. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { formatProgram } from "../model/format/program-file.ts";
import { parseResults } from "../reports/json.ts";
import { findScenario } from "../scenarios/all.ts";
import { main } from "./main.ts";

const PROGRAM = fileURLToPath(new URL("./vfio-conformance.mjs", import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(...args: string[]) {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  const ended = new Promise<Ended>((resolve) => child.on("close", (code) => resolve({ code, out, err })));
  return { child, ended };
}

/** As a process of its own. */
const cli = (...args: string[]): Promise<Ended> => start(...args).ended;

/** The same without the second that a process takes to start. */
async function inProcess(...args: string[]): Promise<Ended> {
  let [out, err] = ["", ""];
  const stdout = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const stderr = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += String(text);
    return true;
  });
  try {
    const code = await main(args);
    return { code, out, err };
  } finally {
    stdout.mockRestore();
    stderr.mockRestore();
  }
}

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "cli-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("run", () => {
  it("says that too little was exercised by a few programs, and where the reports are", async () => {
    const reports = join(directory, "few");
    const { code, out, err } = await cli("run", "--runs", "5", "--seed", "3", "--out", reports);
    expect(code).toBe(2);
    expect(out).toContain("the model of Linux 7.2\n");
    expect(out).toContain("Goals that were not reached:");
    expect(out).toContain(`Reports are in ${reports}`);
    expect(err).toMatch(/^emulated-devices: \d+ programs?, /m);
    expect(readFileSync(join(reports, "report.html"), "utf8")).toContain("<html");
  });

  it("asks for no goals where programs are to be shorter than their property wants them", async () => {
    const few = ["run", "--only", "iommufd-objects", "--runs", "2", "--seed", "3", "--out", join(directory, "short")];
    expect((await inProcess(...few)).code).toBe(2);
    const { code, out } = await inProcess(...few, "--calls", "3");
    expect(code).toBe(0);
    expect(out).not.toContain("Goals that were not reached");
  });

  it("conforms, with results as JSON on stdout and nothing else", async () => {
    const { code, out } = await inProcess(
      "run",
      "--only",
      "destroy-in-use,kvm-group",
      "--json",
      "--out",
      join(directory, "json"),
    );
    expect(code).toBe(0);
    expect(parseResults(out, "stdout").properties.map(({ id }) => id)).toEqual(["destroy-in-use", "kvm-group"]);
  });

  it("finds a fault in the model; what it found can be replayed and compared", async () => {
    const [bad, good] = [join(directory, "bad"), join(directory, "json")];
    const only = ["--only", "destroy-in-use", "--out", bad];
    const found = await cli("run", "--fault", "destroy-in-use", ...only);
    expect(found.code).toBe(1);
    const [, file] = /Replay: vfio-conformance replay (\S+)/.exec(found.out) ?? [];
    const replayed = await inProcess("replay", file ?? "", "--fault", "destroy-in-use");
    expect(replayed.code).toBe(1);
    expect(replayed.out).toMatch(/^>> +8 {2}ioctl\(iommufd, IOMMU_DESTROY, .* = 0\n +expected -1 EBUSY/m);
    const compared = await inProcess("compare", join(good, "results.json"), join(bad, "results.json"));
    expect(compared).toMatchObject({ code: 1 });
    expect(compared.out).toContain("1 finding appeared");
  });

  it("keeps what it has when it is interrupted, and says so", async () => {
    const { child, ended } = start("run", "--time", "50s", "--out", join(directory, "interrupted"));
    // The scenarios are told once they are over: the campaign is under way then.
    child.stderr.once("data", () => child.kill("SIGINT"));
    const { code, out, err } = await ended;
    expect(code).toBe(3);
    expect(err).toContain("Stopping; what was gathered is kept.");
    expect(out).toContain("broke off: The campaign was interrupted.");
    expect(readFileSync(join(directory, "interrupted/results.json"), "utf8")).toContain('"interrupted": "The campaign');
  });
});

describe("replay", () => {
  it("prints a program file call by call", async () => {
    const file = join(directory, "program.json");
    writeFileSync(file, formatProgram({ machine: "reference", calls: findScenario("group-opens-once")?.calls ?? [] }));
    const { code, out } = await inProcess("replay", file);
    expect(code).toBe(0);
    expect(out).toMatch(/group1 = open\(.*\) = -1 EBUSY/);
    expect(out).toContain("Nothing differs from what is expected.");
  });

  it("generates the same program again from property, seed and path", async () => {
    const [first, second] = [await inProcess("replay", "kvm-vfio:-77:3"), await inProcess("replay", "kvm-vfio:-77:3")];
    expect(first.code).toBe(0);
    expect(first.out).toBe(second.out);
    expect(first.out.split("\n").length).toBeGreaterThan(10);
  });
});

describe("list and explain", () => {
  it("tell what there is", async () => {
    const { out } = await inProcess("list", "scenarios");
    expect(out).toMatch(/^ {2}group-opens-once +a group can be open once/m);
    const json = await inProcess("list", "deviations", "--json");
    expect(JSON.parse(json.out)).toContainEqual(expect.objectContaining({ id: "bind-drops-vm" }));
  });

  it("tell which clauses no run can see, and which a run did not see", async () => {
    const hidden = await inProcess("list", "clauses", "--unseen");
    expect(hidden.out).toMatch(/^ {2}IOMMUFD-UNMAP-7 +EBUSY +a mapping .*\n {4}out of reach: programs have one task$/m);
    expect(hidden.out).not.toContain("no run saw it");
    const results = join(directory, "json", "results.json");
    const { out } = await inProcess("list", "clauses", "--unseen", results, results, "--json");
    expect(JSON.parse(out)).toContainEqual(expect.objectContaining({ id: "VFIO-CDEV-BIND-4", why: null }));
    expect(JSON.parse(out)).not.toContainEqual(expect.objectContaining({ id: "IOMMUFD-DESTROY-2" }));
  });

  it("tell of a clause its errno, kernels, source, file and deviations", async () => {
    const { code, out } = await inProcess("explain", "VFIO-CDEV-ATTACH-5");
    expect(code).toBe(0);
    for (const part of [
      "EFAULT",
      "from 6.6",
      "device_cdev.c",
      "model/vfio/device-cdev-attach.ts",
      "attach-fault-detaches",
    ]) {
      expect(out).toContain(part);
    }
  });
});

describe("bad input", () => {
  it.each([
    [["run", "--bogus"], "Unknown option '--bogus'."],
    [["run", "--kernel", "7.2", "--profile", "6.1"], "--profile is for --target model, not for --target qemu."],
    [["run", "--only", "nothing"], "There is no property or scenario nothing"],
    [["run", "--target", "host"], "--target host needs --device"],
    [["run", "--time", "soon"], "Give a time such as 30s, 5m or 1h."],
    [["run", "--kernel", "no/such/bzImage"], "there is no file no/such/bzImage"],
    [["replay", "no-such-file.json"], "There is no file no-such-file.json."],
    [["replay", "nonsense:1:2"], "There is no property nonsense"],
    [["compare", PROGRAM, PROGRAM], "is no JSON"],
    [["explain", "VFIO-NOTHING-1"], "Nothing is called VFIO-NOTHING-1"],
    [["list", "stars"], "There is no list of stars"],
    [["frobnicate"], "Unknown command 'frobnicate'."],
  ])("%j is one sentence and exit code 3", async (args, sentence) => {
    const { code, out, err } = await inProcess(...args);
    expect([code, out]).toEqual([3, ""]);
    expect(err).toContain(sentence);
    expect(err.trim().split("\n")).toHaveLength(1);
  });

  it("ends the process with that code", async () => {
    expect(await cli("run", "--bogus")).toEqual({ code: 3, out: "", err: "Unknown option '--bogus'.\n" });
  });
});

describe("match", () => {
  const modalias = "pci:v000015B3d0000101Esv000015B3sd00000001bc02sc00i00";
  let aliases = "";
  beforeAll(() => {
    aliases = join(directory, "modules.alias");
    writeFileSync(
      aliases,
      `# Aliases extracted from modules themselves.
alias pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_core
alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci
alias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_vfio_pci
`,
    );
  });

  it("prints the module with the fewest wildcards, and what it left behind", async () => {
    const { code, out } = await inProcess(
      "match",
      "--modalias",
      modalias,
      "--aliases",
      aliases,
      "--prefix",
      "vfio_pci",
    );
    expect(code).toBe(0);
    expect(out).toBe(`mlx5_vfio_pci is the best for vfio_${modalias}:
  mlx5_vfio_pci  5 wildcards  vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*  line 4
Not so good, for they leave more open:
  vfio_pci  7 wildcards  vfio_pci:v*d*sv*sd*bc*sc*i*  line 3
`);
  });

  it("prints the same as JSON", async () => {
    const { code, out } = await inProcess("match", "--modalias", modalias, "--aliases", aliases, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      winner: { module: "mlx5_core", wildcards: 5, line: 2 },
      ties: [],
      losers: [],
    });
  });

  it("tells by its exit code that nothing matches, or that several modules are as good", async () => {
    const none = await inProcess("match", "--modalias", modalias.replace("15B3", "8086"), "--aliases", aliases);
    expect(none).toMatchObject({ code: 1, out: expect.stringMatching(/^No alias in .* matches pci:v00008086/) });
    const twice = join(directory, "twice.alias");
    writeFileSync(twice, `${readFileSync(aliases, "utf8")}alias pci:v000015B3d*sv*sd*bc02sc*i* other\n`);
    const tied = await inProcess("match", "--modalias", modalias, "--aliases", twice);
    expect(tied.code).toBe(2);
    expect(tied.out).toContain("Just as good, so that the first of the file was taken:\n  other  5 wildcards");
  });

  it("says in a sentence what it can't read", async () => {
    const missing = join(directory, "none");
    expect(await inProcess("match", "--modalias", modalias, "--aliases", missing)).toMatchObject({
      code: 3,
      err: `There is no file ${missing}.\n`,
    });
    const bad = join(directory, "bad.alias");
    writeFileSync(bad, "alias pci:v*\n");
    expect(await inProcess("match", "--modalias", modalias, "--aliases", bad)).toMatchObject({
      code: 3,
      err: `${bad}: line 1 is no alias: expected "alias PATTERN MODULE", as depmod writes it.\n`,
    });
    const { code, err } = await inProcess("match", "--modalias", "pci:v1", "--aliases", aliases);
    expect(code).toBe(3);
    expect(err).toMatch(/^"pci:v1" is not the whole modalias of a PCI function.*\.\n$/);
  });
});
