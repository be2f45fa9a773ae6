/**
 * Progress on stderr: live lines on a terminal, one line for each stage that ended elsewhere. Stages follow each other;
 * stdout is never written to.
 */
import { DefaultRenderer, Listr, ListrLogger, ProcessOutput } from "listr2";

/** Stages that are known beforehand and follow each other in this order. */
export interface Board {
  /** How stage `index` gets on; those before it have ended. */
  tell(index: number, text: string): void;
  /** All stages have ended. */
  end(): Promise<void>;
  /** The stage under way failed; whoever knows why says so. */
  fail(): Promise<void>;
}

export interface Progress {
  board(titles: readonly string[]): Board;
  /** A line that stays. */
  note(line: string): void;
}

/** One stage: shown while `work` is under way. */
export async function stage<T>(
  progress: Progress,
  title: string,
  work: (tell: (text: string) => void) => Promise<T>,
): Promise<T> {
  const board = progress.board([title]);
  try {
    const result = await work((text) => board.tell(0, text));
    await board.end();
    return result;
  } catch (cause) {
    await board.fail();
    throw cause;
  }
}

/** Progress as it fits the stream. */
export function openProgress(stream: NodeJS.WriteStream): Progress {
  // A terminal that does not know its width would show one letter a line.
  const live = stream.isTTY && stream.columns > 0;
  return live ? new LiveProgress(stream) : new PlainProgress((text) => stream.write(text));
}

/** For streams that are no terminal. */
export class PlainProgress implements Progress {
  readonly #write: (text: string) => void;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  note(line: string): void {
    this.#write(`${line}\n`);
  }

  board(titles: readonly string[]): Board {
    const texts: string[] = [];
    let told = 0;
    const tellUpTo = (end: number): void => {
      for (; told < end; told++) {
        const text = texts[told];
        if (text !== undefined) this.note(`${titles[told]}: ${text}`);
      }
    };
    return {
      tell(index, text) {
        tellUpTo(index);
        texts[index] = text;
      },
      end: async () => tellUpTo(titles.length),
      fail: async () => tellUpTo(texts.length),
    };
  }
}

/** The renderer of terminals, on whichever stream is one: stdout may be a file meanwhile. */
class LiveRenderer extends DefaultRenderer {
  static override nonTTY = true;
}

/** One stage of a live board. */
class LiveStage {
  readonly title: string;
  /** Shows a text, once listr2 has begun the stage. */
  show: ((text: string) => void) | undefined;
  text = "";
  readonly ended: Promise<void>;
  end: () => void = () => {};
  fail: () => void = () => {};

  constructor(title: string) {
    this.title = title;
    this.ended = new Promise((resolve, reject) => {
      this.end = resolve;
      this.fail = () => reject(new Error(title));
    });
    // A stage that fails before listr2 has begun it is nobody's to catch.
    this.ended.catch(() => {});
  }
}

/** For terminals. */
class LiveProgress implements Progress {
  readonly #stream: NodeJS.WriteStream;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  note(line: string): void {
    this.#stream.write(`${line}\n`);
  }

  board(titles: readonly string[]): Board {
    const stages = titles.map((title) => new LiveStage(title));
    const output = new ProcessOutput(this.#stream, this.#stream, { leaveEmptyLine: false });
    const running = new Listr(
      stages.map((each) => ({
        title: each.title,
        task: async (_context, task) => {
          each.show = (text) => {
            task.title = `${each.title}: ${text}`;
          };
          if (each.text !== "") each.show(each.text);
          await each.ended;
          // A stage that was never heard of did not take place.
          if (each.text === "") task.skip();
        },
      })),
      {
        renderer: LiveRenderer,
        rendererOptions: { logger: new ListrLogger({ processOutput: output }), showErrorMessage: false },
        registerSignalListeners: false,
      },
    )
      .run()
      .catch(() => {});
    let current = 0;
    return {
      tell(index, text) {
        for (; current < index; current++) stages[current]?.end();
        const each = stages[index];
        if (!each) return;
        each.text = text;
        each.show?.(text);
      },
      async end() {
        for (const each of stages) each.end();
        await running;
      },
      async fail() {
        stages[current]?.fail();
        await running;
      },
    };
  }
}
