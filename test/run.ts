/** `npm test`: runs all tests, or those that the arguments name, as mocha takes them. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const mocha = fileURLToPath(new URL("../node_modules/mocha/bin/mocha.js", import.meta.url));
const child = spawn(process.execPath, [mocha, ...process.argv.slice(2)], { stdio: "inherit" });

// The tests clean up after themselves: they get the signal too, and this process waits for them.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
child.on("close", (status, signal) => {
  process.exitCode = signal ? 1 : (status ?? 1);
});
