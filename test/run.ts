/** `npm test`: runs all tests, or those that the arguments name, as mocha takes them. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { prepareMachine } from "../harness/prepare-machine.js";
import { StartError } from "../services/server.js";

const mocha = fileURLToPath(new URL("../node_modules/mocha/bin/mocha.js", import.meta.url));
const args = process.argv.slice(2);
if (args.length === 0) await prepareMachine(console.error).catch(endWithReason);
const child = spawn(process.execPath, [mocha, ...args], { stdio: "inherit" });

// The tests clean up after themselves: they get the signal too, and this process waits for them.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
child.on("close", (status, signal) => {
  process.exitCode = signal ? 1 : (status ?? 1);
});

function endWithReason(error: unknown): never {
  if (!(error instanceof StartError)) throw error;
  console.error(error.message);
  process.exit(1);
}
