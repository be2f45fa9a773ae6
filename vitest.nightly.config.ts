import { defineConfig } from "vitest/config";
import kernel from "./vitest.kernel.config.ts";

/** Tests of kernels that are built for nothing else: eight more builds where none is in the cache. */
export default defineConfig({ ...kernel, test: { ...kernel.test, include: ["**/*.nightly.test.ts"] } });
