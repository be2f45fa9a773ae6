/** SIGINT, SIGTERM and SIGHUP: the first asks the work to end and keep what it has, the second ends the process. */
import { EXIT_CODE } from "../campaign/results.ts";
import { Interrupted } from "./errors.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export class Interrupt implements Disposable {
  readonly #controller = new AbortController();
  readonly #write: (text: string) => void;
  readonly #caught = (): void => {
    if (this.happened) process.exit(EXIT_CODE.broken);
    this.#write("\nStopping; what was gathered is kept. Once more ends it at once.\n");
    this.#controller.abort(new Interrupted("Interrupted."));
  };

  constructor(write: (text: string) => void) {
    this.#write = write;
    for (const signal of SIGNALS) process.on(signal, this.#caught);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get happened(): boolean {
    return this.signal.aborted;
  }

  [Symbol.dispose](): void {
    for (const signal of SIGNALS) process.off(signal, this.#caught);
  }
}
