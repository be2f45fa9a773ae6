// Adds up the results of vitest's JSON reporter. Tests on real kernels, the last file given, may not be skipped.
import { readFileSync } from "node:fs";

const files = process.argv.slice(2);
const total = { passed: 0, failed: 0, skipped: 0 };
let kernelSkipped = 0;
for (const [at, file] of files.entries()) {
  const results = JSON.parse(readFileSync(file, "utf8"));
  const skipped = results.numPendingTests + results.numTodoTests;
  total.passed += results.numPassedTests;
  total.failed +=
    results.numFailedTests +
    results.testResults.filter((suite) => suite.status === "failed" && suite.assertionResults.length === 0).length;
  total.skipped += skipped;
  if (at === files.length - 1) kernelSkipped = skipped;
}
if (kernelSkipped > 0) console.log(`${kernelSkipped} tests on real kernels were skipped, which they may not be.`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed > 0 || kernelSkipped > 0 || total.passed === 0 ? 1 : 0);
