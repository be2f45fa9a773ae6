import { defineConfig } from "vitest/config";

/** Tests that boot real kernels, one file at a time: each brings up guests of its own. */
export default defineConfig({
  test: {
    include: ["**/*.kernel.test.ts"],
    exclude: ["node_modules/**"],
    testTimeout: 3_600_000,
    hookTimeout: 3_600_000,
    fileParallelism: false,
  },
});
