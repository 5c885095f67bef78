/** Has firebase-tools download an emulator into its cache. */
import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../root.js";
import type { EmulatorName } from "./find-emulator.js";

/** Without a network firebase-tools tries for minutes. The emulators have 130 MB and 40 MB. */
const DOWNLOAD_TIMEOUT_MS = 300_000;

/**
 * Downloads it.
 * @throws Error with what firebase-tools said
 */
export async function downloadEmulator(name: EmulatorName, javaHome: string, signal?: AbortSignal): Promise<void> {
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
