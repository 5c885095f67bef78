/** How mocha runs here. Where the command line names test files, only those run; mocha itself would add all the others. */
const named = process.argv.slice(2).some((argument) => /\.test\.ts$/.test(argument));

module.exports = {
  // Every module is loaded as what it is, an ES module, and so once: what is required by some and imported by others is there twice.
  "node-option": ["import=tsx", "no-experimental-require-module"],
  require: ["test/setup.ts", "test/emulators.ts"],
  spec: named
    ? []
    : [
        "functions/src/**/*.test.ts",
        "services/**/*.test.ts",
        "harness/**/*.test.ts",
        "cli/**/*.test.ts",
        "local/**/*.test.ts",
        // Those in deploy/rehearsal take minutes: CI runs them by name.
        "deploy/*.test.ts",
        "test/**/*.test.ts",
        "simulation/**/*.test.ts",
        "chaos/**/*.test.ts",
      ],
  timeout: 20_000,
  "forbid-only": true,
  "forbid-pending": true,
  reporter: "test/reporter.mjs",
};
