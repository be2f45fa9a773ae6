/** Watches a run on the model: invariants after every call, coverage, goals. The first thing wrong is kept. */
import type { Answer, Machine } from "../model/machine.ts";
import type { Call } from "../model/program.ts";
import { DeviceFile, type VfioDevice } from "../model/vfio/device.ts";
import type { Coverage, Goal } from "./coverage.ts";
import type { Observer } from "./generate/walk.ts";
import { BALANCE, EffectWatch, NO_TRACE } from "./invariants/effects.ts";
import { History } from "./invariants/history.ts";
import type { HistoryInvariant, StateInvariant, StateView, Violation } from "./invariants/invariant.ts";

export class Watch implements Observer {
  /** The first invariant that did not hold. */
  violation: Violation | null = null;
  /** Calls made so far. */
  made = 0;
  readonly #state: readonly StateInvariant[];
  readonly #invariants: readonly HistoryInvariant[];
  #history: History;
  readonly #coverage: Coverage | null;
  readonly #goals: readonly Goal[];
  #effects: EffectWatch | null = null;
  readonly #devices: VfioDevice[] = [];
  readonly #deviceFiles: DeviceFile[] = [];

  constructor(
    state: readonly StateInvariant[],
    history: readonly HistoryInvariant[],
    coverage: Coverage | null = null,
    goals: readonly Goal[] = [],
  ) {
    this.#state = state;
    this.#invariants = history;
    this.#history = new History(history);
    this.#coverage = coverage;
    this.#goals = goals;
  }

  began(machine: Machine): void {
    this.#effects = new EffectWatch(machine);
    this.#history = new History(this.#invariants, machine.k.topology);
  }

  called(machine: Machine, call: Call, answer: Answer): void {
    this.made++;
    if (this.#coverage) {
      this.#coverage.note(answer, machine.k.kept);
      for (const goal of this.#goals) if (goal.reached(call, answer)) this.#coverage.goal(goal.id);
    }
    if (this.violation) return;
    const tells = call.op === "ioctl" && answer.ret === 0 && answer.length > 0;
    const told = tells ? { ret: 0, bytes: machine.block.subarray(0, answer.length) } : answer;
    this.violation ??= this.#history.after(call, told, this.made - 1) ?? null;
    // What held before still holds where nothing has changed.
    if (!this.#effects?.changed()) return;
    this.#checkState(machine);
    if (answer.refusedBy && !answer.refusedBy.text.partial && !machine.k.kept.some(({ text }) => text.partial))
      this.#report(NO_TRACE.id, `${machine.k.task.doing} was refused and left something behind`);
  }

  ended(machine: Machine): void {
    if (this.#coverage) this.#coverage.programs++;
    if (this.violation) return;
    this.#checkState(machine);
    const left = this.#effects?.atExit();
    if (left) this.#report(BALANCE.id, left);
  }

  crashed(what: string): void {
    this.#report("no-crash", what);
  }

  #checkState(machine: Machine): void {
    const view = this.#look(machine);
    for (const invariant of this.#state) {
      const broken = invariant.broken(view);
      if (broken) this.#report(invariant.id, broken);
    }
  }

  #look(machine: Machine): StateView {
    const devices = this.#devices;
    const deviceFiles = this.#deviceFiles;
    devices.length = 0;
    deviceFiles.length = 0;
    const { functions, mdevs, fds } = machine.k;
    for (let i = 0; i < functions.length; i++) {
      const vfio = functions[i]?.vfio;
      if (vfio) devices.push(vfio);
    }
    for (let i = 0; i < mdevs.length; i++) {
      const vfio = mdevs[i]?.vfio;
      if (vfio) devices.push(vfio);
    }
    const { files } = fds;
    for (let fd = 0; fd < files.length; fd++) {
      const file = files[fd];
      if (file instanceof DeviceFile) deviceFiles.push(file);
    }
    return { machine, devices, deviceFiles };
  }

  #report(invariant: string, what: string): void {
    this.violation ??= { invariant, what, at: this.made - 1 };
  }
}
