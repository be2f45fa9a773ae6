/** Who answers which feature of VFIO_DEVICE_FEATURE. Beside drivers/vfio/vfio_main.c:vfio_ioctl_device_feature. */
import { must, refuse } from "../kernel/clause.ts";
import type { Argument } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { DeviceFile } from "./device.ts";
import { loggingFeatures } from "./dma-logging.ts";
import { FEATURE, FEATURE_HEADER, type Feature, type FeatureRequest, rule } from "./feature.ts";
import { migrationFeatures } from "./migration.ts";

/** What the core answers for every driver. */
const CORE: readonly Feature[] = [...migrationFeatures, ...loggingFeatures];

/** The answer of whoever knows the feature by its number. */
function* answerFeature(known: readonly Feature[], k: Kernel, request: FeatureRequest): Operation<number | undefined> {
  const index = request.flags & FEATURE.MASK;
  for (const feature of known) {
    if (feature.index !== index || (feature.since && !k.since(feature.since))) continue;
    return yield* feature.run(k, request);
  }
  return undefined;
}

export const steps = {
  /** vfio_ioctl_device_feature */
  *run(k: Kernel, { device }: DeviceFile, { block, at }: Argument): Operation<number> {
    block.copyFrom(FEATURE_HEADER, rule["VFIO-FEATURE-1"]);
    const argsz = block.u32(0);
    must(argsz >= FEATURE_HEADER, rule["VFIO-FEATURE-2"]);
    const flags = block.u32(4);
    const { MASK, GET, SET, PROBE } = FEATURE;
    must((flags & ~(MASK | GET | SET | PROBE)) === 0, rule["VFIO-FEATURE-3"]);
    must((flags & PROBE) !== 0 || (flags & (GET | SET)) !== (GET | SET), rule["VFIO-FEATURE-4"]);
    const request = { device, flags, dataSize: argsz - FEATURE_HEADER, block, at };
    const answer = yield* answerFeature(CORE, k, request);
    if (answer !== undefined) return answer;
    return yield* k.feature.ofDriver(k, request);
  },

  /** What the core does not know, the driver may. */
  *ofDriver(k: Kernel, request: FeatureRequest): Operation<number> {
    const { features } = request.device.ops;
    const answer = features ? yield* answerFeature(features, k, request) : undefined;
    return answer ?? refuse(rule["VFIO-FEATURE-5"]);
  },

  /** vfio_check_feature: whether the feature is to be got or set now. A probe has its answer already. */
  check(k: Kernel, { flags, dataSize }: FeatureRequest, methods: number, size: number): boolean {
    const { GET, SET, PROBE } = FEATURE;
    must((flags & (GET | SET) & ~methods) === 0, rule["VFIO-FEATURE-6"]);
    if (flags & PROBE) {
      k.keeps(rule["VFIO-FEATURE-9"]);
      return false;
    }
    must((flags & (GET | SET)) !== 0, rule["VFIO-FEATURE-7"]);
    must(dataSize >= size, rule["VFIO-FEATURE-8"]);
    return true;
  },
};
