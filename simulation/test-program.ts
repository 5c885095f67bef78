/**
 * Runs bundled tests in one process, until one fails: the first import of the program that `bundleTests` makes. Its arguments are the
 * mutants to switch on, one after the other. It prints one line of JSON for each, and one for none: see `Line`.
 */
import { setTimeout as sleep } from "node:timers/promises";
import Mocha from "mocha";
import { NO_MUTANT, switchOn, takeReached } from "./mutant-switch.js";
import { watch } from "./watchdog.js";

/** A line that the program prints, first the mutants whose code runs while files are loaded. Without a mutant all tests must pass. */
export type Line = { atLoad: number[] } | { begins: number } | { mutant: number; failed: string | null };

/** Tests of handlers take milliseconds; one that waits this long waits for what never happens. */
const TIMEOUT_MS = 60_000;

/** The tests of one mutant use less processor time than this, in seconds, or do not end because of it. */
const MAX_SECONDS = 30;

const mocha = new Mocha({ bail: true, timeout: TIMEOUT_MS, reporter: class {} as never });
mocha.cleanReferencesAfterRun(false);
// Makes `describe` and `it` global for the test files that are imported next.
mocha.suite.emit("pre-require", globalThis, "", mocha);

let isRunning = false;

/** The mutants that each test reaches, and those that are reached outside of tests: in hooks. */
const reachedBy = new Map<Mocha.Test, Set<number>>();
const reachedOutside = new Set<number>();

/** Runs all tests once without a mutant, then for each mutant those that reach it, and ends the process. */
export async function runTests(): Promise<void> {
  const begins = watch(MAX_SECONDS);
  await print({ atLoad: [...takeReached()] });
  for (const mutant of [NO_MUTANT, ...process.argv.slice(2).map(Number)]) {
    begins();
    await print({ begins: mutant });
    switchOn(mutant);
    isRunning = true;
    const failed = await firstFailure(mutant);
    isRunning = false;
    // What the mutant left running is over before the next one.
    switchOn(NO_MUTANT);
    await sleep(5);
    await print({ mutant, failed });
  }
  process.exit(0);
}

function firstFailure(mutant: number): Promise<string | null> {
  const isSelected = (test: Mocha.Test) => reachedOutside.has(mutant) || reachedBy.get(test)?.has(mutant) === true;
  if (mutant !== NO_MUTANT && !reachedOutside.has(mutant) && ![...reachedBy.keys()].some(isSelected)) {
    return Promise.resolve(null);
  }
  return new Promise((resolve) => {
    let failed: string | null = null;
    const runner = mocha.run(() => resolve(failed));
    runner.on("fail", (test) => {
      failed ??= test.fullTitle();
    });
    if (mutant === NO_MUTANT) noteReached(runner);
    // It begins with the next turn of the event loop.
    else
      mocha.suite.eachTest((test) => {
        test.pending ||= !isSelected(test);
      });
  });
}

function noteReached(runner: Mocha.Runner): void {
  const outside = () => {
    for (const mutant of takeReached()) reachedOutside.add(mutant);
  };
  runner.on("test", outside);
  runner.on("test end", (test) => reachedBy.set(test, takeReached()));
  runner.on("end", outside);
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
