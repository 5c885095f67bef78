/** Both emulators that a run needs, found on this machine or downloaded by firebase-tools. */
import { execFile } from "node:child_process";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../root.js";
import { type EmulatorName, findEmulator } from "./find-emulator.js";
import type { Java } from "./find-java.js";

/** Without a network firebase-tools tries for minutes. The emulators have 130 MB and 40 MB. */
const DOWNLOAD_TIMEOUT_MS = 300_000;

export interface FindOptions {
  /** Whether firebase-tools may download what is missing; it may by default. */
  download?: boolean;
  /** Receives a message before each download. */
  onProgress?(message: string): void;
  /** Ends a download when aborted. */
  signal?: AbortSignal;
}

/**
 * The paths of the Firestore emulator's JAR and of the Pub/Sub emulator's start script.
 * @throws StartError that tells how to get the one that is missing
 */
export async function findEmulators(
  java: Java,
  { download = true, onProgress, signal }: FindOptions = {},
): Promise<Record<EmulatorName, string>> {
  const places = {
    env: process.env,
    home: homedir(),
    download: async (name: EmulatorName, title: string) => {
      if (!download) throw new Error("nothing is downloaded here: run `npm start` once");
      onProgress?.(`Downloading the ${title}`);
      await downloadEmulator(name, java.home, signal);
    },
  };
  return { firestore: await findEmulator("firestore", places), pubsub: await findEmulator("pubsub", places) };
}

/** @throws Error with what firebase-tools said */
async function downloadEmulator(name: EmulatorName, javaHome: string, signal?: AbortSignal): Promise<void> {
  const firebase = join(ROOT, "node_modules/firebase-tools/lib/bin/firebase.js");
  const env = { ...process.env, JAVA_HOME: javaHome, METADATA_SERVER_DETECTION: "none", CI: "true" };
  // firebase-tools leaves a log in the folder in which it fails.
  const options = { env, cwd: tmpdir(), timeout: DOWNLOAD_TIMEOUT_MS, ...(signal && { signal }) };
  const command = [firebase, `setup:emulators:${name}`];
  await promisify(execFile)(process.execPath, command, options).catch((error: { stdout?: string; stderr?: string }) => {
    const reason = /^Error: (.*)$/m.exec(`${error.stderr}\n${error.stdout}`)?.[1];
    throw new Error(reason ?? "the download failed", { cause: error });
  });
}
