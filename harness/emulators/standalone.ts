/** The official Firestore and Pub/Sub emulators without the Emulator Suite, for tests, chaos and the benches. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { StartError } from "../../services/server.js";
import { type Child, startChild, untilAnswers } from "../process/child-process.js";
import { freePort } from "../process/free-ports.js";
import { type Archives, archivesOf, makeArchives, type Programs } from "./class-archives.js";
import { findEmulators } from "./find-emulators.js";
import { findJava, type Java } from "./find-java.js";
import { writeDocuments } from "./firestore-rest.js";
import { type Classes, markJava } from "./marked-java.js";
import { PubSubTopics } from "./pubsub-rest.js";

/** Java is slow on a busy machine. */
export const EMULATOR_START_TIMEOUT_MS = 180_000;

/** Another program may take the port before the emulator listens. */
const MAX_STARTS = 3;

const LINES_IN_MESSAGE = 15;

/** How long an emulator may take to write the archive of its classes. */
const ARCHIVE_TIMEOUT_MS = 60_000;

interface Options {
  /** A folder only for this run. */
  directory: string;
  /** Where Firestore sends its events, as host:port; nowhere by default. */
  events?: string;
  /** Whether firebase-tools may download a missing emulator. */
  download?: boolean;
  onLine(line: string): void;
  signal: AbortSignal;
}

export interface Emulators {
  /** As host:port. */
  firestore: string;
  pubsub: string;
  /** Their process groups. */
  groups: { firestore: number; pubsub: number };
  stop(): Promise<void>;
}

/**
 * Starts both and resolves when they listen.
 * @throws StartError if one is missing or does not start; neither is left running then
 */
export async function startEmulators(options: Options): Promise<Emulators> {
  const java = await findJava();
  const programs = await findEmulators(java, options);
  return startPrograms(java, programs, { archives: archivesOf(java, programs) }, options);
}

/** Makes the archives from which these emulators start faster. Without them they start as well. */
export async function archiveClasses(java: Java, programs: Programs): Promise<void> {
  const run = async (archives: Archives) => {
    const directory = mkdtempSync(join(tmpdir(), "diet-classes-"));
    try {
      const { signal } = new AbortController();
      const options = { directory, onLine: () => {}, signal };
      const emulators = await startPrograms(java, programs, { archives, written: true }, options);
      try {
        await writeDocuments(emulators.firestore, "demo-classes", [{ path: "some/document", fields: { number: 1 } }]);
        await new PubSubTopics(emulators.pubsub, "demo-classes").make("topic");
      } finally {
        await emulators.stop();
      }
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  };
  await makeArchives(archivesOf(java, programs), run).catch(() => undefined);
}

async function startPrograms(java: Java, programs: Programs, classes: Classes, options: Options): Promise<Emulators> {
  const { directory, events } = options;
  const marked = markJava(java, directory, classes);
  const quiet = join(directory, "logging.properties");
  writeFileSync(quiet, ".level=SEVERE\n");
  const env = {
    ...process.env,
    JAVA_HOME: marked.home,
    PATH: [join(marked.home, "bin"), process.env.PATH].join(delimiter),
    // Each failed precondition and each repeated push would log a stack of thirty lines.
    JAVA_TOOL_OPTIONS: `-Djava.util.logging.config.file=${quiet}`,
  };
  const heap = ["-XX:+UseSerialGC", "-Xmx768m"];
  const calls = events === undefined ? [] : [`--functions_emulator=${events}`];
  const firestoreArgs = [...heap, "-jar", programs.firestore, ...calls];
  const started = await Promise.allSettled([
    startOnFreePort(join(marked.home, "bin", "java"), firestoreArgs, env, options),
    startOnFreePort(programs.pubsub, [], env, options),
  ]);
  const running = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const stopOne = ({ child }: { child: Child }) =>
    classes.written ? child.stop("SIGTERM", ARCHIVE_TIMEOUT_MS) : child.stop("SIGKILL", 0);
  const stop = async () => void (await Promise.all(running.map(stopOne)));
  const [firestore, pubsub] = running;
  if (!firestore || !pubsub) {
    await stop();
    throw started.find((one) => one.status === "rejected")?.reason;
  }
  return {
    firestore: `127.0.0.1:${firestore.port}`,
    pubsub: `127.0.0.1:${pubsub.port}`,
    groups: { firestore: firestore.child.pid, pubsub: pubsub.child.pid },
    stop,
  };
}

/** The emulators do not report the port that the system chose for port 0, so they get one that is free just now. */
async function startOnFreePort(
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv,
  { directory, onLine, signal }: Options,
): Promise<{ child: Child; port: number }> {
  for (let starts = 1; ; starts++) {
    const port = await freePort();
    const lines: string[] = [];
    const child = await startChild({
      command,
      args: [...args, "--host=127.0.0.1", `--port=${port}`],
      cwd: directory,
      env,
      onLine: (line) => {
        lines.push(line);
        onLine(line);
      },
    });
    try {
      if (await untilAnswers(child, port, EMULATOR_START_TIMEOUT_MS, signal)) return { child, port };
    } catch (error) {
      await child.stop("SIGKILL", 0);
      throw error;
    }
    const how = child.ended ?? `does not listen after ${EMULATOR_START_TIMEOUT_MS / 1000} s`;
    await child.stop("SIGKILL", 0);
    if (starts === MAX_STARTS || !how.includes("ended")) {
      throw new StartError(`${command} ${how}:\n${lines.slice(-LINES_IN_MESSAGE).join("\n")}`);
    }
  }
}
