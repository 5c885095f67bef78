/** Runs bundled tests in one process until one fails, and prints which: the first import of the program that `bundleTests` makes. */
import Mocha from "mocha";

/** Tests of handlers take milliseconds; one that waits this long waits for what never happens. */
const TIMEOUT_MS = 30_000;

const mocha = new Mocha({ bail: true, timeout: TIMEOUT_MS, reporter: class {} as never });
// Makes `describe` and `it` global for the test files that are imported next.
mocha.suite.emit("pre-require", globalThis, "", mocha);

/** Runs all tests that were defined; the process ends with status 1 if one failed. */
export function runTests(): void {
  const runner = mocha.run((failures) => process.stdout.write("", () => process.exit(failures > 0 ? 1 : 0)));
  runner.on("fail", (test) => process.stdout.write(test.fullTitle()));
}
