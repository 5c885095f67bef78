/** How mocha runs here. `test/run.ts` names the files; mocha alone runs the file that its command line names. */
module.exports = {
  // Every module is loaded as what it is, an ES module, and so once: what is required by some and imported by others is there twice.
  "node-option": ["import=tsx", "no-experimental-require-module"],
  require: ["test/setup.ts", "test/emulators.ts"],
  timeout: 120_000,
  slow: 3_000,
  "forbid-only": true,
  "forbid-pending": true,
  reporter: "test/reporter.mjs",
};
