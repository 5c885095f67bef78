/** The official Firestore and Pub/Sub emulators for the tests: started once, at the first use, and stopped at the end. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type EmulatorPlaces, findEmulator } from "../harness/emulators/find-emulator.js";
import { findJava } from "../harness/emulators/find-java.js";
import { type MarkedJava, markJava } from "../harness/emulators/marked-java.js";
import { type Child, startChild } from "../harness/process/child-process.js";
import { answers } from "../harness/process/free-ports.js";

/** How long an emulator may take until it answers, in milliseconds. Java is slow on a busy machine. */
export const EMULATOR_START_TIME = 120_000;

/** How long an emulator may take to stop, in milliseconds. It keeps nothing. */
const GRACE = 2_000;

export interface Emulators {
  /** As host:port. */
  firestore: string;
  pubsub: string;
}

let starting: Promise<Emulators> | undefined;
let directory: string | undefined;
const children: Child[] = [];

/**
 * The emulators, started where they are not yet. Give the hook that calls this `EMULATOR_START_TIME`.
 * @throws StartError that tells what is missing on this machine and how to get it
 */
export function emulators(): Promise<Emulators> {
  starting ??= start();
  return starting;
}

/** How long a test run may live on when all is torn down, in milliseconds. */
const LAST_BREATH = 20_000;

/** Mocha calls this at the end of every run, a failed and a broken-off one too. */
export async function mochaGlobalTeardown(): Promise<void> {
  await starting?.catch(() => undefined);
  await Promise.all(children.map((child) => child.stop("SIGTERM", GRACE)));
  cleanUp();
  setTimeout(failWhereLeft, LAST_BREATH).unref();
}

/** What a test left open would keep the run from ever ending. */
function failWhereLeft(): void {
  console.error(`The tests have left something open: ${process.getActiveResourcesInfo().join(", ")}`);
  process.exit(1);
}

function cleanUp(): void {
  if (directory) rmSync(directory, { recursive: true, force: true });
}

async function start(): Promise<Emulators> {
  const machine: EmulatorPlaces = { env: process.env, home: homedir(), download: notHere };
  const [java, jar, script] = await Promise.all([
    findJava(machine),
    findEmulator("firestore", machine),
    findEmulator("pubsub", machine),
  ]);
  directory = mkdtempSync(join(tmpdir(), "diet-test-"));
  // A run that is broken off ends without the teardown; what it started ends with it.
  process.once("exit", cleanUp);
  process.once("SIGINT", () => process.exit(130));
  process.once("SIGTERM", () => process.exit(143));
  const marked = markJava(java, directory);
  const [firestore, pubsub] = await Promise.all([
    startOn(
      (port) => [join(marked.home, "bin", "java"), "-jar", jar, "--host", "127.0.0.1", "--port", String(port)],
      marked,
    ),
    startOn((port) => [script, "--host=127.0.0.1", `--port=${port}`], marked),
  ]);
  return { firestore, pubsub };
}

/** `npm start` downloads emulators; a test run says what is missing. */
function notHere(): Promise<void> {
  return Promise.reject(new Error("the tests download nothing: run `npm start` once"));
}

async function startOn(command: (port: number) => string[], java: MarkedJava): Promise<string> {
  const port = await freePort();
  const [program = "", ...args] = command(port);
  const said: string[] = [];
  const path = [join(java.home, "bin"), process.env.PATH].join(delimiter);
  const child = await startChild({
    command: program,
    args,
    cwd: directory ?? tmpdir(),
    env: { ...process.env, JAVA_HOME: java.home, PATH: path },
    onLine: (line) => said.push(line),
  });
  children.push(child);
  const deadline = Date.now() + EMULATOR_START_TIME;
  while (!(await answers(port))) {
    if (child.ended) throw new Error(`${program} ${child.ended}:\n${said.slice(-15).join("\n")}`);
    if (Date.now() > deadline) throw new Error(`${program} does not answer:\n${said.slice(-15).join("\n")}`);
    await sleep(100);
  }
  return `127.0.0.1:${port}`;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const bound = probe.address();
      probe.close(() => (bound && typeof bound === "object" ? resolve(bound.port) : reject(new Error("no free port"))));
    });
  });
}
