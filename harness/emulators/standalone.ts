/** The official Firestore and Pub/Sub emulators by themselves, without the Emulator Suite, with push subscriptions that redeliver. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { StartError } from "../../services/server.js";
import { type Child, startChild } from "../process/child-process.js";
import { answers } from "../process/free-ports.js";
import { findEmulator } from "./find-emulator.js";
import { findJava } from "./find-java.js";
import { markJava } from "./marked-java.js";

/** How long an emulator may take to listen, in milliseconds. */
const START_TIME = 60_000;

/** After so long without an answer a push is made again, in seconds; the least that Pub/Sub knows is 10. */
const ACK_DEADLINE = 10;

interface Options {
  /** The top folder of the project. */
  root: string;
  /** A folder of this run's own. */
  directory: string;
  ports: { firestore: number; pubsub: number };
  /** Where Firestore brings its events, as host:port; nowhere where left out. */
  events?: string;
  onLine(line: string): void;
  signal: AbortSignal;
}

/**
 * Starts both and resolves with their processes when they listen.
 * @throws StartError where one is missing or does not start; neither is left running then
 */
export async function startEmulators({ root, directory, ports, events, onLine, signal }: Options): Promise<Child[]> {
  const places = { env: process.env, home: homedir() };
  const java = markJava(await findJava(places), directory);
  const download = async (name: string) => {
    const firebase = join(root, "node_modules/firebase-tools/lib/bin/firebase.js");
    await promisify(execFile)(process.execPath, [firebase, `setup:emulators:${name}`], { cwd: directory });
  };
  const firestore = await findEmulator("firestore", { ...places, download });
  const pubsub = await findEmulator("pubsub", { ...places, download });
  const quiet = join(directory, "logging.properties");
  writeFileSync(quiet, ".level=SEVERE\n");
  const env = {
    ...process.env,
    JAVA_HOME: java.home,
    PATH: [join(java.home, "bin"), process.env.PATH].join(delimiter),
    // Each refused precondition and each push that comes again would be a stack of thirty lines.
    JAVA_TOOL_OPTIONS: `-Djava.util.logging.config.file=${quiet}`,
  };
  const on = (port: number) => ["--host=127.0.0.1", `--port=${port}`];
  const heap = ["-XX:+UseSerialGC", "-Xmx768m"];
  const common = { cwd: directory, env, onLine };
  const children: Child[] = [];
  try {
    const calls = events === undefined ? [] : [`--functions_emulator=${events}`];
    const firestoreArgs = [...heap, "-jar", firestore, ...on(ports.firestore), ...calls];
    children.push(await startChild({ ...common, command: join(java.home, "bin", "java"), args: firestoreArgs }));
    children.push(await startChild({ ...common, command: pubsub, args: on(ports.pubsub) }));
    await untilListening(children, Object.values(ports), signal);
    return children;
  } catch (error) {
    for (const child of children) await child.stop("SIGKILL", 0);
    throw error;
  }
}

async function untilListening(children: Child[], ports: number[], signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + START_TIME;
  while (!(await Promise.all(ports.map((port) => answers(port)))).every(Boolean)) {
    const ended = children.find((child) => child.ended !== undefined)?.ended;
    if (ended !== undefined) throw new StartError(`An emulator ${ended} before it was ready.`);
    if (Date.now() > deadline) throw new StartError(`The emulators do not listen after ${START_TIME / 1000} s.`);
    await sleep(100, undefined, { signal });
  }
}

/**
 * Makes a topic with a push subscription for each endpoint. A subscription makes each push again until it is answered with
 * success; the emulator has two of a subscription under way at a time.
 */
export async function subscribe(pubsub: string, project: string, topic: string, endpoints: string[]): Promise<void> {
  const put = async (path: string, body: object) => {
    const response = await fetch(`http://${pubsub}/v1/projects/${project}/${path}`, {
      method: "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new StartError(`The Pub/Sub emulator answered ${response.status} for ${path}.`);
  };
  await put(`topics/${topic}`, {});
  for (const [index, pushEndpoint] of endpoints.entries()) {
    await put(`subscriptions/${topic}-${index}`, {
      topic: `projects/${project}/topics/${topic}`,
      pushConfig: { pushEndpoint },
      ackDeadlineSeconds: ACK_DEADLINE,
      retryPolicy: { minimumBackoff: "1s", maximumBackoff: "2.5s" },
    });
  }
}
