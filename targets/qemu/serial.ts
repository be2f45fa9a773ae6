/**
 * What the guest wrote on its serial console: the last of it, and whether the kernel panicked.
 */

const KEPT = 256 * 1024;

/** Keeps the last 256 KiB. */
export class SerialLog {
  #text = "";

  append(chunk: string): void {
    this.#text = (this.#text + chunk).slice(-KEPT);
  }

  get text(): string {
    return this.#text;
  }

  /** The kernel's own words when it panicked. */
  get panic(): string | undefined {
    return /Kernel panic - not syncing: ([^\r\n]*)/.exec(this.#text)?.[1];
  }

  /** Where the kernel was when the machine's watchdog interrupted it, if it did: `function+offset/size`. */
  get loop(): string | undefined {
    return /Kernel panic - not syncing: NMI: Not continuing[\s\S]*?RIP: 0010:([^\r\n ]*)/.exec(this.#text)?.[1];
  }

  /** The last line that says anything. */
  get lastLine(): string {
    return this.#text.trimEnd().split(/\r?\n/).at(-1) ?? "";
  }
}
