/**
 * `npm test`: runs all tests, one layer with `--unit` or `--integration`, or the files that the arguments name.
 * `test/layers.ts` says which test belongs to which layer.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { prepareMachine } from "../harness/prepare-machine.js";
import { watch } from "../harness/process/child-process.js";
import { ROOT } from "../harness/root.js";
import { StartError } from "../services/server.js";
import { startOwn } from "./emulators.js";
import { filesOf, isTestFile, type Layer } from "./layers.js";

/** Tests wait for programs most of their time, so several processes for each core keep the cores busy. */
const JOBS = 3 * availableParallelism();

/** How long mocha may take to end after a signal, in milliseconds. */
const STOP_TIMEOUT_MS = 10_000;

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

/** What mocha's own start script gives to Node.js. That script starts mocha as a child, and a signal ends the script alone. */
const { "node-option": nodeOptions } = createRequire(import.meta.url)("../.mocharc.cjs") as { "node-option": string[] };
const mocha = [...nodeOptions.map((option) => `--${option}`), join(ROOT, "node_modules/mocha/lib/cli/cli.js")];

const child = spawn(process.execPath, [...mocha, ...parallel, ...options, ...files], {
  stdio: "inherit",
  // In a process group of its own, with its workers and what they start.
  detached: true,
  // The many programs of a run save the code that they have compiled for one another.
  env: { ...process.env, TEST_EMULATORS: addresses, NODE_COMPILE_CACHE: join(directory, "compiled") },
});
// However this process ends, that group ends.
const unwatch = watch(String(child.pid));
let isInterrupted = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    isInterrupted = true;
    child.kill(signal);
    setTimeout(endGroup, STOP_TIMEOUT_MS).unref();
  });
}
child.on("close", async (status) => {
  endGroup();
  const started = await emulators;
  if (started && "stop" in started) await started.stop();
  await unwatch();
  // Programs that are about to end may still save code there.
  rmSync(directory, { recursive: true, force: true, maxRetries: 20 });
  // Mocha reports success if it is interrupted before a test fails.
  process.exit(isInterrupted ? 130 : (status ?? 1));
});

function endGroup(): void {
  try {
    process.kill(-(child.pid as number), "SIGKILL");
  } catch {
    // There is nothing left of it.
  }
}

function endWithReason(error: unknown): never {
  if (!(error instanceof StartError)) throw error;
  console.error(error.message);
  process.exit(1);
}
