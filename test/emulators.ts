/**
 * The official Firestore and Pub/Sub emulators for tests, one of each kind for a whole run. `test/run.ts` starts them; a file
 * that mocha runs without it starts its own. Tests keep apart by the ids of their projects.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EMULATOR_START_TIMEOUT_MS, type Emulators, startEmulators } from "../harness/emulators/standalone.js";

export { EMULATOR_START_TIMEOUT_MS };

type Addresses = Pick<Emulators, "firestore" | "pubsub">;

let starting: Promise<Emulators & { directory: string }> | undefined;

/**
 * Their addresses, as host:port. Give the hook that calls this `EMULATOR_START_TIMEOUT_MS`.
 * @throws StartError that says what is missing on this machine and how to get it
 */
export async function emulators(): Promise<Addresses> {
  const { TEST_EMULATORS: file } = process.env;
  if (file !== undefined) return fromRunner(file);
  starting ??= startOwn();
  return starting;
}

/** The runner writes the file once they listen, or the reason why they don't. */
async function fromRunner(file: string): Promise<Addresses> {
  while (!existsSync(file)) await sleep(100);
  const { failure, ...addresses } = JSON.parse(readFileSync(file, "utf8")) as Addresses & { failure?: string };
  if (failure) throw new Error(failure);
  return addresses;
}

/** Starts them for this process alone. */
export async function startOwn(): Promise<Emulators & { directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), "diet-test-"));
  const clean = () => rmSync(directory, { recursive: true, force: true });
  process.once("exit", clean);
  const { signal } = new AbortController();
  const running = await startEmulators({ directory, download: false, onLine: () => {}, signal });
  return { ...running, directory };
}

/** How long a test run may live on when all is torn down, in milliseconds. */
const EXIT_TIMEOUT_MS = 120_000;

/** Mocha calls this at the end of every run, a failed and an interrupted one too. */
export async function mochaGlobalTeardown(): Promise<void> {
  await (await starting?.catch(() => undefined))?.stop();
  setTimeout(failIfOpen, EXIT_TIMEOUT_MS).unref();
}

/** What a test left open would keep the run from ever ending. */
function failIfOpen(): void {
  console.error(`The tests have left something open: ${process.getActiveResourcesInfo().join(", ")}`);
  process.exit(1);
}
