import { defineConfig } from "vitest/config";

/** Tests that need no kernel. */
export default defineConfig({
  test: { include: ["**/*.test.ts"], exclude: ["node_modules/**", "**/*.kernel.test.ts"], testTimeout: 60_000 },
});
