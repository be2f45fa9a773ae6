/**
 * The states of migration v2 and the ways between them. Beside vfio_mig_get_next_state() of drivers/vfio/vfio_main.c.
 *
 * The kernel has a table. Here the way is found as the header tells: the shortest along the arcs that the device has, with
 * no state of the saving group in between, unless it begins and ends in that group.
 */

export const STATE = {
  ERROR: 0,
  STOP: 1,
  RUNNING: 2,
  STOP_COPY: 3,
  RESUMING: 4,
  RUNNING_P2P: 5,
  PRE_COPY: 6,
  PRE_COPY_P2P: 7,
} as const;

/** A number of `enum vfio_device_mig_state`. */
export type MigrationState = number;

/** What a device says that it can do: `flags` of struct vfio_device_feature_migration. */
export const MIGRATION = { STOP_COPY: 1, P2P: 2, PRE_COPY: 4 } as const;

/** States that share a data session. */
const SAVING: ReadonlySet<MigrationState> = new Set([STATE.STOP_COPY, STATE.PRE_COPY, STATE.PRE_COPY_P2P]);

/** Whether a state is one in which data is saved while the device runs. */
export function isPreCopy(state: MigrationState): boolean {
  return state === STATE.PRE_COPY || state === STATE.PRE_COPY_P2P;
}

/** What a device must be able to do to be in a state; undefined for ERROR and for numbers that are none. */
function needed(state: MigrationState): number | undefined {
  switch (state) {
    case STATE.STOP:
    case STATE.RUNNING:
    case STATE.STOP_COPY:
    case STATE.RESUMING:
      return MIGRATION.STOP_COPY;
    case STATE.RUNNING_P2P:
      return MIGRATION.STOP_COPY | MIGRATION.P2P;
    case STATE.PRE_COPY:
      return MIGRATION.STOP_COPY | MIGRATION.PRE_COPY;
    case STATE.PRE_COPY_P2P:
      return MIGRATION.STOP_COPY | MIGRATION.P2P | MIGRATION.PRE_COPY;
    default:
      return undefined;
  }
}

/** Whether a device that can do so much can be put into a state. */
export function isSupported(flags: number, state: MigrationState): boolean {
  const bits = needed(state);
  return bits !== undefined && (flags & bits) === bits;
}

type Arc = readonly [from: MigrationState, to: MigrationState];

/** The arcs that a driver carries out. Those between RUNNING and STOP go by RUNNING_P2P where the device has it. */
export function arcsOf(flags: number): readonly Arc[] {
  const arcs: Arc[] = [
    [STATE.STOP, STATE.RESUMING],
    [STATE.RESUMING, STATE.STOP],
    [STATE.STOP, STATE.STOP_COPY],
    [STATE.STOP_COPY, STATE.STOP],
  ];
  const stopped = flags & MIGRATION.P2P ? STATE.RUNNING_P2P : STATE.RUNNING;
  arcs.push([stopped, STATE.STOP], [STATE.STOP, stopped]);
  if (flags & MIGRATION.P2P) arcs.push([STATE.RUNNING, STATE.RUNNING_P2P], [STATE.RUNNING_P2P, STATE.RUNNING]);
  if (!(flags & MIGRATION.PRE_COPY)) return arcs;
  arcs.push([STATE.RUNNING, STATE.PRE_COPY], [STATE.PRE_COPY, STATE.RUNNING]);
  if (!(flags & MIGRATION.P2P)) return [...arcs, [STATE.PRE_COPY, STATE.STOP_COPY]];
  return [
    ...arcs,
    [STATE.PRE_COPY, STATE.PRE_COPY_P2P],
    [STATE.PRE_COPY_P2P, STATE.PRE_COPY],
    [STATE.RUNNING_P2P, STATE.PRE_COPY_P2P],
    [STATE.PRE_COPY_P2P, STATE.RUNNING_P2P],
    [STATE.PRE_COPY_P2P, STATE.STOP_COPY],
  ];
}

/** Asked for by name in the header: a copy that has begun with the device stopped does not go back to running. */
function isBlocked(from: MigrationState, to: MigrationState): boolean {
  return from === STATE.STOP_COPY && isPreCopy(to);
}

/** The states on the way from one to another, without the first and with the last; undefined where there is no way. */
export function pathBetween(
  flags: number,
  from: MigrationState,
  to: MigrationState,
): readonly MigrationState[] | undefined {
  if (!isSupported(flags, from) || !isSupported(flags, to) || isBlocked(from, to)) return undefined;
  const inside = SAVING.has(from) && SAVING.has(to);
  const arcs = arcsOf(flags);
  const reached = new Set([from]);
  let paths: (readonly MigrationState[])[] = [[]];
  while (paths.length > 0) {
    const longer: (readonly MigrationState[])[] = [];
    for (const path of paths) {
      const last = path.at(-1) ?? from;
      for (const [start, end] of arcs) {
        if (start !== last || reached.has(end)) continue;
        if (end === to) return [...path, end];
        if (SAVING.has(end) !== inside) continue;
        reached.add(end);
        longer.push([...path, end]);
      }
    }
    paths = longer;
  }
  return undefined;
}

const STATES = Object.values(STATE).length;
const next = new Map<number, MigrationState | undefined>();

/** The next state on the way, or undefined where there is no way; asked at every step, so each is only looked for once. */
export function nextState(flags: number, from: MigrationState, to: MigrationState): MigrationState | undefined {
  if (!Number.isInteger(to) || to >= STATES) return undefined;
  const key = (flags * STATES + from) * STATES + to;
  if (!next.has(key)) next.set(key, pathBetween(flags, from, to)?.[0]);
  return next.get(key);
}
