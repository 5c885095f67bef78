/**
 * `npm test`: runs all tests, one layer with `--unit` or `--integration`, or the files that the arguments name.
 * `test/layers.ts` says which test belongs to which layer.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { prepareMachine } from "../harness/prepare-machine.js";
import { ROOT } from "../harness/root.js";
import { StartError } from "../services/server.js";
import { startOwn } from "./emulators.js";
import { filesOf, isTestFile, type Layer } from "./layers.js";

/** Tests wait for programs much of their time, so more processes than cores keep the cores busy. */
const JOBS = availableParallelism() + 2;

const args = process.argv.slice(2);
const layers = (["unit", "integration"] as Layer[]).filter((layer) => args.includes(`--${layer}`));
const named = args.filter(isTestFile);
const files = named.length > 0 ? named : filesOf(layers);
const options = args.filter((arg) => !isTestFile(arg) && arg !== "--unit" && arg !== "--integration");
// The unit tests are quick to run and slow to load: one process loads their modules once.
const parallel = files.length > 1 && layers.join() !== "unit" ? ["--parallel", "--jobs", String(JOBS)] : [];

if (named.length === 0 && layers.join() !== "unit") await prepareMachine(console.error).catch(endWithReason);

const directory = mkdtempSync(join(tmpdir(), "diet-tests-"));
const addresses = join(directory, "emulators.json");
const emulators = files.some((file) => /emulators\.js"/.test(readFileSync(join(ROOT, file), "utf8")))
  ? startOwn().then(publish, (error: Error) => publish({ failure: error.message }))
  : undefined;

/** In one step, since tests read the file as soon as it is there. */
function publish<T extends object>(found: T): T {
  writeFileSync(`${addresses}.new`, JSON.stringify(found));
  renameSync(`${addresses}.new`, addresses);
  return found;
}

const mocha = join(ROOT, "node_modules/mocha/bin/mocha.js");
const child = spawn(process.execPath, [mocha, ...parallel, ...options, ...files], {
  stdio: "inherit",
  env: { ...process.env, TEST_EMULATORS: addresses },
});
// The tests clean up after themselves: they get the signal too, and this process waits for them.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
child.on("close", async (status, signal) => {
  const started = await emulators;
  if (started && "stop" in started) await started.stop();
  rmSync(directory, { recursive: true, force: true });
  process.exit(signal ? 1 : (status ?? 1));
});

function endWithReason(error: unknown): never {
  if (!(error instanceof StartError)) throw error;
  console.error(error.message);
  process.exit(1);
}
