/**
 * Mocha's own report with a line of progress below it, then the slowest files, closed by one line of passed and failed tests. It also saves
 * how long each file took; the next run starts the longest first.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, relative } from "node:path";
import { format } from "node:util";
import Mocha from "mocha";
import { Progress } from "../harness/progress.ts";
import { endQuietlyOnBrokenPipe } from "../local/guards.mjs";
import { DURATIONS } from "./layers.ts";

const SLOWEST = 10;

export default class Closing extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    endQuietlyOnBrokenPipe();
    // Mocha selects tests by name after it has made its reporter. The parallel runner does not know the number of tests.
    runner.once("start", () => showProgress(runner));

    const byFile = new Map();
    const add = ({ file, duration = 0 }) => file && byFile.set(file, (byFile.get(file) ?? 0) + duration);
    runner.on("test end", add);
    runner.on("hook end", add);
    runner.once("end", () => recordDurations(byFile));
    // Printed by the process's end, after everything that hooks and reports still have to say.
    process.once("exit", () => {
      const slowest = [...byFile].sort(([, one], [, other]) => other - one).slice(0, SLOWEST);
      console.log("\nSlowest files:");
      for (const [file, milliseconds] of slowest) {
        console.log(`${(milliseconds / 1000).toFixed(1).padStart(7)} s  ${relative(process.cwd(), file)}`);
      }
      console.log(`\n${this.stats.passes} passed, ${this.stats.failures} failed`);
    });
  }
}

function showProgress(runner) {
  const progress = new Progress({ unit: "tests", total: runner.total || undefined });
  // What is printed on a terminal goes above the line.
  if (process.stderr.isTTY && process.stdout.isTTY) {
    Mocha.reporters.Base.consoleLog = (...words) => progress.news(format(...words));
  }
  progress.to(0);
  runner.on("fail", (test) => progress.found(test.fullTitle()));
  runner.on("test end", () => progress.advance());
  runner.once("end", () => progress.end());
}

function recordDurations(byFile) {
  let known = {};
  try {
    known = JSON.parse(readFileSync(DURATIONS, "utf8"));
  } catch {
    // This is the first run.
  }
  for (const [file, milliseconds] of byFile) known[relative(process.cwd(), file)] = milliseconds;
  mkdirSync(dirname(DURATIONS), { recursive: true });
  writeFileSync(DURATIONS, JSON.stringify(known));
}
