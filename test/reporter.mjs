/** Mocha's own report, closed by one line that says how many passed and failed. */
import Mocha from "mocha";

export default class Closing extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    // Printed by the process's end, after everything that hooks and reports still have to say.
    process.once("exit", () => console.log(`\n${this.stats.passes} passed, ${this.stats.failures} failed`));
  }
}
