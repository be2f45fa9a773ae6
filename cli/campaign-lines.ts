/** A campaign's progress as lines: for each property the programs, calls a second and findings. */
import type { CampaignProgress } from "../campaign/options.ts";
import { counted } from "../reports/verdict.ts";
import type { Board, Progress } from "./progress.ts";

export class CampaignLines implements CampaignProgress {
  readonly #ids: readonly string[];
  readonly #board: Board;
  readonly #now: () => number;
  #current = "";
  #began: number;
  #heard: number;

  constructor(progress: Progress, ids: readonly string[], now: () => number = () => performance.now()) {
    this.#ids = ids;
    this.#board = progress.board(ids);
    this.#now = now;
    this.#began = now();
    this.#heard = this.#began;
  }

  property(id: string, { programs, calls, findings }: Parameters<CampaignProgress["property"]>[1]): void {
    const now = this.#now();
    if (id !== this.#current) {
      // A property begins when the one before it was last heard of.
      this.#began = this.#heard;
      this.#current = id;
    }
    this.#heard = now;
    const seconds = Math.max(0.001, (now - this.#began) / 1000);
    const rate = Math.round(calls / seconds);
    const wrong = findings === 0 ? "" : `, ${counted(findings, "finding")}`;
    this.#tell(id, `${counted(programs, "program")}, ${counted(rate, "call")}/s${wrong}`);
  }

  found(id: string, what: string): void {
    this.#tell(id, `shrinking: ${what}`);
  }

  #tell(id: string, text: string): void {
    this.#board.tell(this.#ids.indexOf(id), text);
  }

  end(): Promise<void> {
    return this.#board.end();
  }

  fail(): Promise<void> {
    return this.#board.fail();
  }
}
