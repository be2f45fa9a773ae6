/** The file of a session that has ended is still good for reading and writing. */
import type { Fault } from "./fault.ts";

export const migrationFileOutlivesSession: Fault = {
  id: "migration-file-outlives-session",
  title: "a data file is used after a reset, or another state, has ended its session",
  cites: "457f73082547 vfio/pds: Make sure migration file isn't accessed after reset (6.9)",
  breaks: "difference",
  shownBy: "migration",
  apply(k) {
    const right = k.mtty.disableFiles;
    k.mtty = {
      ...k.mtty,
      *disableFiles(kernel, migration) {
        const files = [migration.savingFile, migration.resumingFile];
        yield* right(kernel, migration);
        for (const file of files) if (file) file.disabled = false;
      },
    };
  },
};
