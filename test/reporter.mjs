/** Mocha's own report with a line of progress below it, closed by one line that says how many passed and failed. */
import { format } from "node:util";
import Mocha from "mocha";
import { Progress } from "../harness/progress.ts";

export default class Closing extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const progress = new Progress({ unit: "tests", total: runner.total });
    // What is printed on a terminal goes above the line.
    if (process.stderr.isTTY && process.stdout.isTTY) {
      Mocha.reporters.Base.consoleLog = (...words) => progress.news(format(...words));
    }
    runner.on("fail", (test) => progress.found(test.fullTitle()));
    runner.on("test end", () => progress.advance());
    runner.once("end", () => progress.end());
    // Printed by the process's end, after everything that hooks and reports still have to say.
    process.once("exit", () => console.log(`\n${this.stats.passes} passed, ${this.stats.failures} failed`));
  }
}
