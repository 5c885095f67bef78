/** Mocha's own report, then the slowest files, closed by one line that says how many passed and failed. */
import { relative } from "node:path";
import Mocha from "mocha";

const SLOWEST = 10;

export default class Closing extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const byFile = new Map();
    const add = ({ file, duration = 0 }) => file && byFile.set(file, (byFile.get(file) ?? 0) + duration);
    runner.on("test end", add);
    runner.on("hook end", add);
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
