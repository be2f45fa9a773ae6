/** Migration of mtty: streams that are not looked at, ends that are not told, states that outlive their user. */
import type { MttyCard } from "../../model/mdev/mtty.ts";
import type { CardMigration } from "../../model/mdev/mtty-migration.ts";
import { type MttyDataFile, portsOf } from "../../model/mdev/mtty-session.ts";
import { STATE } from "../../model/vfio/migration-states.ts";
import { type Deviation, Ruined } from "./deviation.ts";

const since = "6.7";
const upstream = "searched, none found";
const source = (name: string) => `samples/vfio-mdev/mtty.c:${name}`;

export const mttyNoEnomsg: Deviation = {
  id: "mtty-no-enomsg",
  title:
    "reading a session that has no more for now, in PRE_COPY or PRE_COPY_P2P, gives 0: to the reader the stream has ended",
  clause: "MTTY-MIG-READ-3",
  since,
  source: source("mtty_save_read"),
  upstream,
  evidence: "mtty-no-enomsg",
  apply(k, fired) {
    const right = k.mtty.checkEnd;
    k.mtty = {
      ...k.mtty,
      checkEnd(file) {
        try {
          right(file);
        } catch {
          fired();
        }
      },
    };
  },
};

export const mttyBadHeaderCounts: Deviation = {
  id: "mtty-bad-header-counts",
  title:
    "a stream with another header than the card's is refused when it is written and loaded all the same: the piece counts, and is not looked at again",
  clause: "MTTY-MIG-WRITE-4",
  since,
  source: source("mtty_resume_write"),
  upstream,
  evidence: "mtty-bad-header-counts",
  apply(k, fired) {
    k.mtty = {
      ...k.mtty,
      wrongHeader(file, count) {
        file.position += count;
        file.filled += count;
        fired();
      },
    };
  },
};

export const mttyStreamUnchecked: Deviation = {
  id: "mtty-stream-unchecked",
  title:
    "what a stream says of a port's FIFO is taken as it is: the next byte sent goes to wherever in the kernel's memory the stream said",
  clause: "MTTY-MIG-LOAD-2",
  since,
  source: source("mtty_load_state"),
  upstream,
  evidence: "mtty-stream-unchecked",
  destructive: true,
  apply(k) {
    const { isLoadable, wrongHeader, resumeWrite } = k.mtty;
    const check = (images: readonly Uint8Array[]): boolean => {
      if (isLoadable(images)) return true;
      throw new Ruined("what this kernel does to its memory next", "mtty-stream-unchecked");
    };
    const counted = new WeakSet<MttyDataFile>();
    k.mtty = {
      ...k.mtty,
      isLoadable: check,
      // A kernel that has taken another header takes what comes behind it, too, and not at the place where it belongs.
      wrongHeader(file, count) {
        check(portsOf(file));
        counted.add(file);
        wrongHeader(file, count);
      },
      *resumeWrite(kernel, file, io) {
        if (counted.has(file)) throw new Ruined("a stream out of step", "mtty-stream-unchecked");
        return yield* resumeWrite(kernel, file, io);
      },
    };
  },
};

export const mttyStateSurvivesClose: Deviation = {
  id: "mtty-state-survives-close",
  title:
    "the last close of a device ends its session and leaves its migration state: the next user finds it stopped, or saving without a session",
  clause: "session-by-state",
  since,
  source: source("mtty_close"),
  upstream,
  evidence: "mtty-state-survives-close",
  apply(k, fired) {
    k.mtty = {
      ...k.mtty,
      forgetState({ state }) {
        if (state !== STATE.RUNNING) fired();
      },
    };
  },
};

export const mttyResumeReopened: Deviation = {
  id: "mtty-resume-reopened",
  title:
    "a device that was closed in RESUMING is in RESUMING when it is opened again, without a session: leaving that state reads through a null pointer",
  clause: "session-by-state",
  since,
  source: source("mtty_load_state"),
  upstream,
  evidence: "mtty-resume-reopened",
  destructive: true,
  apply(k) {
    const left = new WeakSet<CardMigration>();
    const { forgetState, setState, reset } = k.mtty;
    k.mtty = {
      ...k.mtty,
      forgetState(migration) {
        if (migration.state === STATE.RESUMING) left.add(migration);
        forgetState(migration);
      },
      *setState(kernel, migration, wanted) {
        if (left.has(migration)) throw new Ruined("a null pointer in the kernel", "mtty-resume-reopened");
        return yield* setState(kernel, migration, wanted);
      },
      *reset(kernel, migration) {
        left.delete(migration);
        yield* reset(kernel, migration);
      },
    };
  },
};

export const mttyDataFdOutlives: Deviation = {
  id: "mtty-data-fd-outlives",
  title: "a session's descriptor that is used after its mediated device was removed reads what the kernel has freed",
  clause: "MTTY-MIG-WRITE-2",
  since,
  source: source("mtty_resume_write"),
  upstream,
  evidence: "mtty-data-fd-outlives",
  destructive: true,
  apply(k) {
    const { resumeWrite, precopyInfo } = k.mtty;
    const check = (card: MttyCard): void => {
      if (k.mdevs.some(({ vfio }) => vfio?.ops === card)) return;
      throw new Ruined("memory that the kernel has freed", "mtty-data-fd-outlives");
    };
    k.mtty = {
      ...k.mtty,
      *resumeWrite(kernel, file, io) {
        check(file.card);
        return yield* resumeWrite(kernel, file, io);
      },
      *precopyInfo(kernel, file, arg) {
        check(file.card);
        return yield* precopyInfo(kernel, file, arg);
      },
    };
  },
};

export const mttyLoggingUnchecked: Deviation = {
  id: "mtty-logging-unchecked",
  title: "DMA logging can be started twice, and reports are given of what was never started",
  clause: "VFIO-DMALOG-START-8",
  since,
  source: source("mtty_log_start"),
  upstream,
  evidence: "mtty-logging-unchecked",
  apply(k, fired) {
    k.mtty = {
      ...k.mtty,
      *startLogging(card) {
        if (card.logs) fired();
        card.logs = true;
      },
      *reportLogging(card) {
        if (!card.logs) fired();
      },
    };
  },
};
