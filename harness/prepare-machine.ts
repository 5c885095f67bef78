/** What the tests need on a machine beside Node.js: found, downloaded if the network allows, or named with the one command that installs it. */
import { spawn } from "node:child_process";
import { homedir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { StartError } from "../services/server.js";
import { findEmulators } from "./emulators/find-emulators.js";
import { findJava } from "./emulators/find-java.js";
import { archiveClasses } from "./emulators/standalone.js";
import { findChromium } from "./find-chromium.js";
import { MissingError, type Needed } from "./missing-programs.js";
import { ROOT } from "./root.js";

/** A download that shows nothing new for this long has failed. */
const SILENCE_MS = 30_000;

/** The path of a Chromium; undefined if there is none. */
export function chromiumHere(): string | undefined {
  return findChromium({ env: process.env, home: homedir(), playwright: playwrightsOwn() });
}

function playwrightsOwn(): string {
  try {
    return chromium.executablePath();
  } catch {
    // There is none for this kind of machine.
    return "";
  }
}

/**
 * Sees to it that everything is there, and makes the archives from which the emulators start faster.
 * @param onProgress called with what is being downloaded
 * @throws MissingError with one sentence: what is missing, and the command that installs it; StartError for an emulator
 */
export async function prepareMachine(onProgress: (message: string) => void): Promise<void> {
  const missing: Needed[] = [];
  const java = await findJava().catch((error: unknown) => {
    if (!(error instanceof StartError)) throw error;
    missing.push("java");
  });
  if (chromiumHere() === undefined) {
    onProgress("Downloading Chromium");
    await downloadChromium();
    if (chromiumHere() === undefined) missing.push("chromium");
  }
  if (missing.length > 0 || !java) throw new MissingError(missing);
  await archiveClasses(java, await findEmulators(java, { onProgress }));
}

/** Has Playwright download its own. Whether it worked shows in whether it is there. */
function downloadChromium(): Promise<void> {
  const env = { ...process.env, PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT: "10000" };
  const cli = join(ROOT, "node_modules/playwright-core/cli.js");
  const child = spawn(process.execPath, [cli, "install", "chromium"], { env, stdio: ["ignore", "pipe", "pipe"] });
  return new Promise((resolve) => {
    const silence = setTimeout(() => child.kill(), SILENCE_MS);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (text: Buffer) => {
        // Each failed attempt says so too, and is no progress.
        if (!/error|failed/i.test(text.toString())) silence.refresh();
      });
    }
    child.once("error", () => resolve());
    child.once("close", () => {
      clearTimeout(silence);
      resolve();
    });
  });
}
