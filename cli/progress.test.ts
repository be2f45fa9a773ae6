import { describe, expect, it } from "vitest";
import { CampaignLines } from "./campaign-lines.ts";
import { PlainProgress, stage } from "./progress.ts";

describe("progress without a terminal", () => {
  it("is a line for each property that took place, with its own rate", async () => {
    const lines: string[] = [];
    let now = 0;
    const progress = new PlainProgress((text) => lines.push(text.trimEnd()));
    const campaign = new CampaignLines(progress, ["kvm-vfio", "hot-reset", "driver-binding"], () => now);
    now = 1000;
    campaign.property("kvm-vfio", { programs: 1, calls: 100, findings: 0 });
    now = 2000;
    campaign.property("kvm-vfio", { programs: 2, calls: 3000, findings: 0 });
    expect(lines).toEqual([]);
    now = 4000;
    campaign.property("hot-reset", { programs: 1, calls: 20, findings: 2 });
    expect(lines).toEqual(["kvm-vfio: 2 programs, 1,500 calls/s"]);
    await campaign.end();
    expect(lines.slice(1)).toEqual(["hot-reset: 1 program, 10 calls/s, 2 findings"]);
  });

  it("says how far a stage came that failed", async () => {
    const lines: string[] = [];
    const progress = new PlainProgress((text) => lines.push(text.trimEnd()));
    const failing = stage(progress, "kernel", async (tell) => {
      tell("download 40 %");
      throw new Error("no network");
    });
    await expect(failing).rejects.toThrow("no network");
    expect(lines).toEqual(["kernel: download 40 %"]);
  });
});
