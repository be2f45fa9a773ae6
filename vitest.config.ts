import { defineConfig } from "vitest/config";

/** Tests that need no kernel. The time limit is for a test that hangs: a busy machine must not decide a result. */
export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    exclude: ["node_modules/**", "**/*.kernel.test.ts", "**/*.nightly.test.ts"],
    testTimeout: 900_000,
    hookTimeout: 900_000,
    // Vitest leaves one core free, which of two is half of the machine.
    maxWorkers: "100%",
    // Most files read the whole model, which is then read once by each worker and not by each file.
    isolate: false,
  },
});
