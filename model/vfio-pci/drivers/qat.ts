/** qat_vfio_pci: virtual functions of Intel QAT. Beside drivers/vfio/pci/qat/main.c. */
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { PciFunction } from "../../pci/function.ts";
import type { QatTraits } from "../../pci/traits.ts";
import { MIGRATION } from "../../vfio/migration-states.ts";
import type { IncomingStream } from "./data-file.ts";
import { MigratingDevice } from "./migrating-device.ts";
import { DriverMigration } from "./migration.ts";
import { imageOf, WholeStream } from "./opaque-state.ts";

const variants = { machine: "variants", since: "6.10" } as const;

export const rule = clauses({
  "QAT-SAVE-1": {
    ...variants,
    rule: "while the device runs its stream brings the setup that another must have, the rest when it is stopped",
    source: "drivers/vfio/pci/qat/main.c:qat_vf_save_setup",
    observable: "output",
  },
  "QAT-WRITE-1": {
    ...variants,
    rule: "the setup must be that of the device: what completes another is refused, and not taken",
    errno: "EINVAL",
    source: "drivers/vfio/pci/qat/main.c:qat_vf_resume_write",
  },
});

class QatStream extends WholeStream {
  readonly #setup: number;

  constructor({ stateSize, setupSize }: QatTraits) {
    super(imageOf("qat", stateSize), stateSize);
    this.#setup = setupSize;
  }

  /** qat_vfmig_load_setup, which waits until the setup has come. */
  override check(k: Kernel, bytes: Uint8Array): void {
    const complete = bytes.length >= this.#setup && this.came.length < this.#setup;
    if (complete) k.qat.checkSetup(this.expected.subarray(0, this.#setup), bytes.subarray(0, this.#setup));
  }
}

class QatMigration extends DriverMigration {
  override readonly flags = MIGRATION.STOP_COPY | MIGRATION.P2P | MIGRATION.PRE_COPY;
  readonly #traits: QatTraits;

  constructor(traits: QatTraits) {
    super();
    this.#traits = traits;
  }

  override precopied(k: Kernel): Uint8Array {
    k.keeps(rule["QAT-SAVE-1"]);
    return imageOf("qat", this.#traits.stateSize).subarray(0, this.#traits.setupSize);
  }

  override stopped(_k: Kernel, precopied: boolean): Uint8Array {
    return imageOf("qat", this.#traits.stateSize).subarray(precopied ? this.#traits.setupSize : 0);
  }

  override receive(): IncomingStream {
    return new QatStream(this.#traits);
  }

  override dataSize(): number {
    return this.#traits.stateSize;
  }
}

/** struct qat_vf_core_device. Its driver answers none of the features that the library knows. */
export class QatDevice extends MigratingDevice {
  override readonly name = "qat-vf-vfio-pci";
  override readonly features = [];

  constructor(pciFunction: PciFunction, traits: QatTraits) {
    super(pciFunction, new QatMigration(traits));
  }
}

export const steps = {
  /** What qat_vfmig_load_setup compares. */
  checkSetup(own: Uint8Array, came: Uint8Array): void {
    must(Buffer.compare(own, came) === 0, rule["QAT-WRITE-1"]);
  },
};
