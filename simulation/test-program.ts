/**
 * Runs bundled tests in one process, until one fails: the first import of the program that `bundleTests` makes. Its arguments are the
 * mutants to switch on, one after the other. It prints one line of JSON for each: see `Line`.
 */
import { setTimeout as sleep } from "node:timers/promises";
import Mocha from "mocha";
import { watch } from "./watchdog.js";

/** A line that the program prints. The mutant -1 is none: then all tests must pass. */
export type Line = { begins: number } | { mutant: number; failed: string | null };

/** Tests of handlers take milliseconds; one that waits this long waits for what never happens. */
const TIMEOUT_MS = 60_000;

/** The tests of one mutant use less processor time than this, in seconds, or do not end because of it. */
const MAX_SECONDS = 30;

const mocha = new Mocha({ bail: true, timeout: TIMEOUT_MS, reporter: class {} as never });
mocha.cleanReferencesAfterRun(false);
// Makes `describe` and `it` global for the test files that are imported next.
mocha.suite.emit("pre-require", globalThis, "", mocha);

let isRunning = false;

/** Runs all tests that were defined once for each mutant, and ends the process. */
export async function runTests(): Promise<void> {
  const begins = watch(MAX_SECONDS);
  for (const mutant of process.argv.slice(2).map(Number)) {
    begins();
    await print({ begins: mutant });
    (globalThis as { __mutant?: number }).__mutant = mutant;
    isRunning = true;
    const failed = await firstFailure();
    isRunning = false;
    // What the mutant left running is over before the next one.
    (globalThis as { __mutant?: number }).__mutant = -1;
    await sleep(5);
    await print({ mutant, failed });
  }
  process.exit(0);
}

function firstFailure(): Promise<string | null> {
  return new Promise((resolve) => {
    let failed: string | null = null;
    const runner = mocha.run(() => resolve(failed));
    runner.on("fail", (test) => {
      failed ??= test.fullTitle();
    });
  });
}

function print(line: Line): Promise<void> {
  return new Promise((resolve) => process.stdout.write(`${JSON.stringify(line)}\n`, () => resolve()));
}

// A promise that nothing handles fails the test in which it is rejected, as in mocha's own program.
process.on("unhandledRejection", (reason) => {
  if (isRunning) throw reason;
});
// What a mutant leaves behind must not end the program that tries the next ones. During a run mocha listens too.
process.on("uncaughtException", () => {});
