/** Starts and stops Firebase's Emulator Suite for one run: its own ports, its own copy of the functions, its own folder. */
import { createWriteStream, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { StartError } from "../../services/server.js";
import { type Child, startChild, watch } from "../process/child-process.js";
import { answers, type Ports } from "../process/free-ports.js";
import { archivesOf, type Programs } from "./class-archives.js";
import type { Java } from "./find-java.js";
import { copyFunctions } from "./functions-copy.js";
import { type MarkedJava, markJava } from "./marked-java.js";

/** Projects whose names begin with demo- never reach the cloud. */
export const PROJECT = "demo-diet-orchestrator";

const EMULATORS = "functions,firestore,pubsub,hosting,auth";

/** How long the suite may take to be ready. The slowest part is Java on a busy machine. */
const START_TIMEOUT_MS = 180_000;

/** How long the functions may take to be loaded, in seconds. */
const LOAD_TIMEOUT_SECONDS = 90;

/** How long running functions get to finish when the suite stops, in milliseconds. */
const STOP_GRACE_MS = 15_000;

/** If nothing has started or ended for this long, no event is waiting, in milliseconds. */
const IDLE_MS = 300;

/** If nothing has started or ended for this long although events are waiting, the running one hangs, in milliseconds. */
const STUCK_MS = 15_000;

/** The number of events handled at a time. They mostly wait for emulators and services. */
const PARALLEL_EVENTS = 16;

export interface SuiteOptions {
  /** The top folder of the project. */
  root: string;
  /** A folder only for this run. */
  directory: string;
  ports: Ports;
  java: Java;
  /** The emulators as found on this machine. */
  programs: Programs;
  params: Record<string, string>;
  secrets: Record<string, string>;
  /** Where the functions find Firestore, as host:port; undefined for the suite's own emulator. */
  firestore?: string | undefined;
  /** The Authentication emulator posts there before it acknowledges a change of an account. */
  accountsChangedUrl?: string | undefined;
  withOwnParams: boolean;
  /** Cancels the start when aborted. */
  signal: AbortSignal;
}

export interface Suite {
  /** Where the suite's own output goes. */
  log: string;
  /** Whether functions are running, or events are waiting for one. */
  isBusy(): boolean;
  /** Resolves with the reason when the suite ends without being stopped. */
  exited: Promise<string>;
  stop(): Promise<void>;
}

/**
 * Starts the suite and resolves when every function is loaded and every emulator answers.
 * @throws StartError that says why it did not start; then nothing is left running
 */
export async function startSuite(options: SuiteOptions): Promise<Suite> {
  const { root, directory, ports, java, programs, signal } = options;
  prepareRunDirectory(options);
  // Unix sockets need short paths, and the suite leaves files behind in its temporary folder.
  const temporary = mkdtempSync(join(plainFolder(), "diet-"));
  const marked = markJava(java, directory, { archives: archivesOf(java, programs) });
  // The Java emulators are in groups of their own and outlive firebase-tools if it is killed.
  const endEmulators = watch(marked.mark);
  const log = join(directory, "emulators.log");
  const logStream = createWriteStream(log);
  const output = new OutputWatch();
  const child = await startChild({
    command: process.execPath,
    args: [
      ...["--require", join(import.meta.dirname, "quick-start.cjs")],
      ...["--require", join(import.meta.dirname, "functions-emulator.cjs")],
      ...["--require", join(import.meta.dirname, "durable-accounts.cjs")],
      join(root, "node_modules/firebase-tools/lib/bin/firebase.js"),
      "emulators:start",
      ...["--project", PROJECT],
      ...["--only", EMULATORS],
      ...["--config", join(directory, "firebase.json")],
    ],
    cwd: directory,
    env: environment(options, marked, temporary),
    onLine(line) {
      if (!output.see(line)) logStream.write(`${line}\n`);
    },
  });
  const stop = async (signal: NodeJS.Signals = "SIGINT") => {
    await child.stop(signal, STOP_GRACE_MS);
    await endEmulators();
    await waitForPortsClosed(ports);
    await new Promise((resolve) => logStream.end(resolve));
    rmSync(temporary, { recursive: true, force: true });
  };
  try {
    await untilReady(child, output, log, signal);
  } catch (error) {
    await stop("SIGKILL");
    throw error;
  }
  return { log, isBusy: () => output.isBusy, exited: child.exited, stop };
}

/** Makes the run's folder look like the project's, with its own ports and its own functions. */
function prepareRunDirectory({
  root,
  directory,
  ports,
  params,
  secrets,
  firestore,
  withOwnParams,
}: SuiteOptions): void {
  copyFunctions({
    source: join(root, "functions"),
    target: join(directory, "functions"),
    project: PROJECT,
    params,
    secrets,
    firestore,
    withOwn: withOwnParams,
  });
  for (const name of ["firestore.rules", "firestore.indexes.json"])
    symlinkSync(join(root, name), join(directory, name));
  // The page was built there before. Where it finds this file, it talks to the emulators.
  const emulators = { auth: `http://127.0.0.1:${ports.auth}`, firestore: { host: "127.0.0.1", port: ports.firestore } };
  writeFileSync(join(directory, "operator-console", "dist", "emulators.json"), JSON.stringify(emulators));
  writeFileSync(join(directory, "firebase.json"), configuration(root, ports));
}

function environment(
  { programs, accountsChangedUrl }: SuiteOptions,
  { home }: MarkedJava,
  temporary: string,
): NodeJS.ProcessEnv {
  // firebase-tools gives this path to a shell without quotes.
  const pubsub = join(temporary, "pubsub-emulator");
  symlinkSync(programs.pubsub, pubsub);
  return {
    ...withoutProxies(process.env),
    JAVA_HOME: home,
    PATH: [join(home, "bin"), process.env.PATH].join(delimiter),
    TMPDIR: temporary,
    FIRESTORE_EMULATOR_BINARY_PATH: programs.firestore,
    PUBSUB_EMULATOR_BINARY_PATH: pubsub,
    FUNCTIONS_EMULATOR_PARALLEL: process.env.FUNCTIONS_EMULATOR_PARALLEL ?? String(PARALLEL_EVENTS),
    FUNCTIONS_DISCOVERY_TIMEOUT: String(LOAD_TIMEOUT_SECONDS),
    // No look-ups of credentials, of news and of newer versions: nothing here needs the network.
    METADATA_SERVER_DETECTION: "none",
    XDG_CONFIG_HOME: temporary,
    NO_UPDATE_NOTIFIER: "1",
    CI: "true",
    ...(accountsChangedUrl && { ACCOUNTS_CHANGED_URL: accountsChangedUrl }),
  };
}

/**
 * firebase-tools would send what it says to its own emulators through a proxy. The functions speak gRPC, and may need the proxy
 * for a food service that is somewhere else.
 */
function withoutProxies(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const grpcProxy = env.grpc_proxy || env.https_proxy || env.http_proxy;
  const others = Object.entries(env).filter(([name]) => !/^(https?|all|grpc)_proxy$/i.test(name));
  return { ...Object.fromEntries(others), ...(grpcProxy && { grpc_proxy: grpcProxy }) };
}

/** The folder for temporary files, unless a shell would need quotes for its path. */
function plainFolder(): string {
  return /^[\w./-]+$/.test(tmpdir()) ? tmpdir() : "/tmp";
}

/** The project's firebase.json with the ports of this run. */
function configuration(root: string, ports: Ports): string {
  const cloud = readFileSync(join(root, "firebase.json"), "utf8");
  // The page may talk to the emulators of this run as it may to the cloud's services.
  const local = [ports.auth, ports.firestore].map((port) => `http://127.0.0.1:${port}`).join(" ");
  const shared = JSON.parse(cloud.replace("connect-src 'self'", `connect-src 'self' ${local}`)) as object;
  const on = (port: number) => ({ host: "127.0.0.1", port });
  const emulators = {
    singleProjectMode: true,
    ui: { enabled: false },
    functions: on(ports.functions),
    firestore: { ...on(ports.firestore), websocketPort: ports.firestoreWebsocket },
    pubsub: on(ports.pubsub),
    hosting: on(ports.hosting),
    auth: on(ports.auth),
    hub: on(ports.hub),
    logging: on(ports.logging),
    eventarc: on(ports.eventarc),
    tasks: on(ports.tasks),
  };
  return JSON.stringify({ ...shared, emulators }, null, 2);
}

/** Parses the suite's output for the progress of its start and its work. */
class OutputWatch {
  ready = false;
  private hasEvents = false;
  private lastActivity = 0;
  failure: string | undefined;
  private lines: string[] = [];

  /** Parses a line. Returns whether it is only for this program: `functions-emulator.cjs` prints such lines. */
  see(line: string): boolean {
    const [, queue] = /^functions: (busy|idle)$/.exec(line) ?? [];
    if (queue || /^i +functions: (Beginning execution of|Finished) "/.test(line)) this.lastActivity = Date.now();
    if (queue) this.hasEvents = queue === "busy";
    else this.lines = [...this.lines.slice(-14), line];
    if (line.includes("All emulators ready")) this.ready = true;
    this.failure ??= /Failed to load function definition from source: (?:FirebaseError: )?(.*)/.exec(line)?.[1];
    return queue !== undefined;
  }

  /** Between two events, the queue may be empty for a moment. */
  get isBusy(): boolean {
    return Date.now() - this.lastActivity < (this.hasEvents ? STUCK_MS : IDLE_MS);
  }

  get end(): string {
    return this.lines.map((line) => `  ${line}`).join("\n");
  }
}

async function untilReady(child: Child, output: OutputWatch, log: string, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    signal.throwIfAborted();
    if (output.failure !== undefined) {
      // The following lines contain the reason.
      await sleep(500);
      throw new StartError(`The functions failed to load: ${output.failure}\nThe end of ${log}:\n${output.end}`);
    }
    if (output.ready) return;
    if (child.ended !== undefined) {
      throw new StartError(`The Emulator Suite ${child.ended} before it was ready. The end of ${log}:\n${output.end}`);
    }
    if (Date.now() > deadline) {
      throw new StartError(
        `The Emulator Suite was not ready after ${START_TIMEOUT_MS / 1000} s. The end of ${log}:\n${output.end}`,
      );
    }
    await sleep(100, undefined, { signal }).catch(() => undefined);
  }
}

/** Waits until nothing listens on the suite's ports any more. */
async function waitForPortsClosed(ports: Ports): Promise<void> {
  const { foodService: _, ...suite } = ports;
  for (let tries = 0; tries < 50; tries++) {
    const answering = await Promise.all(Object.values(suite).map((port) => answers(port)));
    if (!answering.some(Boolean)) return;
    await sleep(100);
  }
}
