/** What the tests need on a machine beside Node.js: found, downloaded if the network allows, or named with the one command that installs it. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { StartError } from "../services/server.js";
import { downloadEmulator } from "./emulators/download-emulator.js";
import { type EmulatorName, findEmulator } from "./emulators/find-emulator.js";
import { findJava } from "./emulators/find-java.js";
import { findChromium } from "./find-chromium.js";
import { ROOT } from "./root.js";

/** A download that shows nothing new for this long has failed. */
const SILENCE_MS = 30_000;

/** The packages that bring what is missing, by the program that installs them. */
const PACKAGES = {
  "apt-get": { command: "apt-get install -y", java: "openjdk-21-jre-headless", chromium: "chromium", needsRoot: true },
  dnf: { command: "dnf install -y", java: "java-21-openjdk-headless", chromium: "chromium", needsRoot: true },
  pacman: { command: "pacman -S --noconfirm", java: "jre21-openjdk-headless", chromium: "chromium", needsRoot: true },
  brew: { command: "brew install", java: "openjdk@21", chromium: "chromium", needsRoot: false },
} as const;

type Needed = "java" | "chromium";

/** Something is missing that only the machine's own package manager can bring. */
export class MissingError extends StartError {
  /** @param missing what it is */
  constructor(readonly missing: Needed[]) {
    const names = { java: "Java 21 or newer (https://adoptium.net)", chromium: "Chromium" };
    const what = missing.map((name) => names[name]).join(" and ");
    const command = installCommand(missing);
    super(
      command ? `The tests need ${what}: run \`${command}\`.` : `The tests need ${what}: install it and try again.`,
    );
  }
}

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
 * Sees to it that everything is there.
 * @param onProgress called with what is being downloaded
 * @throws MissingError with one sentence: what is missing, and the command that installs it; StartError for an emulator
 */
export async function prepareMachine(onProgress: (message: string) => void): Promise<void> {
  const missing: Needed[] = [];
  const machine = { env: process.env, home: homedir() };
  const java = await findJava(machine).catch((error: unknown) => {
    if (!(error instanceof StartError)) throw error;
    missing.push("java");
  });
  if (chromiumHere() === undefined) {
    onProgress("Downloading Chromium");
    await downloadChromium();
    if (chromiumHere() === undefined) missing.push("chromium");
  }
  if (missing.length > 0) throw new MissingError(missing);
  const download = async (name: EmulatorName, title: string) => {
    onProgress(`Downloading the ${title}`);
    if (java) await downloadEmulator(name, java.home);
  };
  for (const name of ["firestore", "pubsub"] as const) await findEmulator(name, { ...machine, download });
}

/** The command that installs them with this machine's own programs; undefined if it has none that is known. */
export function installCommand(
  missing: readonly Needed[],
  has: (program: string) => boolean = isInstalled,
): string | undefined {
  const found = Object.entries(PACKAGES).find(([program]) => has(program))?.[1];
  if (!found) return undefined;
  const root = found.needsRoot && process.getuid?.() !== 0 ? "sudo " : "";
  return `${root}${found.command} ${missing.map((name) => found[name]).join(" ")}`;
}

function isInstalled(program: string): boolean {
  const folders = [...(process.env.PATH ?? "").split(":"), "/opt/homebrew/bin"];
  return folders.some((folder) => existsSync(join(folder, program)));
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
