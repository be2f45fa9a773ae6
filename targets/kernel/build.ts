// Getting kernels to test, wherever they come from: the door to this folder.

import { openCache } from "./cache.ts";
import type { BuildContext } from "./context.ts";
import { openImage } from "./image.ts";
import { type Kernel, type KernelRequest, type ReportProgress, requestName } from "./kernel.ts";
import { ensureRelease, Workshop } from "./release.ts";
import { ensureTree } from "./tree.ts";

export interface EnsureOptions {
  /** The cache directory; by default the user's. */
  readonly cache?: string;
  /** Whether sources and objects of a release stay after its build; by default they go. */
  readonly keepTree?: boolean;
  /** Whether the archive is asked for a newer point release than the one known here. */
  readonly refresh?: boolean;
}

/**
 * The kernel that a request asks for, from the cache or built now.
 *
 * @throws {KernelError} when it cannot be had; its message says what to do
 * @throws the signal's reason, after an abort; what was built so far serves the next call
 */
export async function ensureKernel(
  request: KernelRequest,
  progress: ReportProgress,
  signal: AbortSignal,
  options: EnsureOptions = {},
): Promise<Kernel> {
  const [kernel] = await ensureKernels([request], progress, signal, options);
  if (kernel === undefined) throw new Error("a request was lost");
  return kernel;
}

/** Several kernels, in the order of the requests; flavours of one release share the unpacked source. */
export async function ensureKernels(
  requests: readonly KernelRequest[],
  progress: ReportProgress,
  signal: AbortSignal,
  options: EnsureOptions = {},
): Promise<readonly Kernel[]> {
  const cache = await openCache(options.cache);
  await using workshop = new Workshop(cache, options.keepTree ?? false);
  const kernels: Kernel[] = [];
  // One after the other: each build takes all cores.
  for (const request of requests) {
    const kernel = requestName(request);
    const context: BuildContext = { cache, signal, report: (event) => progress({ kernel, ...event }) };
    switch (request.kind) {
      case "release":
        kernels.push(await ensureRelease(request, workshop, options.refresh ?? false, context));
        break;
      case "tree":
        kernels.push(await ensureTree(request, context));
        break;
      case "image":
        kernels.push(await openImage(request));
        break;
    }
  }
  await workshop.clear();
  return kernels;
}
