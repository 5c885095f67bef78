/**
 * What the tests need beside Node.js that only the machine's own package manager can bring, and the one command that does. It imports
 * nothing that must be installed first: a machine that lacks something learns so at once.
 */
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { StartError } from "../services/start-error.js";
import { findJava } from "./emulators/find-java.js";
import { findChromium } from "./find-chromium.js";

/** The download host of Playwright's own Chromium, and how long to wait for its response. */
const DOWNLOADS = "https://cdn.playwright.dev/";
const DOWNLOADS_TIMEOUT_MS = 10_000;

/** The packages that bring what is missing, by the program that installs them. */
const PACKAGES = {
  "apt-get": { command: "apt-get install -y", java: "openjdk-21-jre-headless", chromium: "chromium", needsRoot: true },
  dnf: { command: "dnf install -y", java: "java-21-openjdk-headless", chromium: "chromium", needsRoot: true },
  pacman: { command: "pacman -S --noconfirm", java: "jre21-openjdk-headless", chromium: "chromium", needsRoot: true },
  brew: { command: "brew install", java: "openjdk@21", chromium: "chromium", needsRoot: false },
} as const;

export type Needed = "java" | "chromium";

/** A program is missing that only the machine's package manager can install. */
export class MissingError extends StartError {
  readonly missing: Needed[];

  /** @param missing what it is */
  constructor(missing: Needed[]) {
    const names = { java: "Java 21 or newer (https://adoptium.net)", chromium: "Chromium" };
    const what = missing.map((name) => names[name]).join(" and ");
    const command = installCommand(missing);
    super(
      command
        ? `The tests need ${what}: run \`${command}\`.`
        : `The tests need ${what}: install ${missing.length > 1 ? "them" : "it"} and try again.`,
    );
    this.missing = missing;
  }
}

/** The command that installs them with this machine's package manager; undefined if none is known. */
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

/**
 * Looks before anything is installed.
 * @throws MissingError for what is not there and can't be downloaded later
 */
export async function expectPrograms(): Promise<void> {
  const machine = { env: process.env, home: homedir() };
  const missing: Needed[] = [];
  await findJava().catch((error: unknown) => {
    if (!(error instanceof StartError)) throw error;
    missing.push("java");
  });
  if (!hasChromium(machine) && !(await canDownload())) missing.push("chromium");
  if (missing.length > 0) throw new MissingError(missing);
}

/** Only Playwright knows the exact path of its own Chromium. */
function hasChromium(machine: { env: NodeJS.ProcessEnv; home: string }): boolean {
  const { PLAYWRIGHT_BROWSERS_PATH: chosen } = machine.env;
  const playwrights = [".cache/ms-playwright", "Library/Caches/ms-playwright"].map((name) => join(machine.home, name));
  const playwright = [...(chosen ? [chosen] : []), ...playwrights].find(hasBrowser) ?? "";
  return findChromium({ ...machine, playwright }) !== undefined;
}

function hasBrowser(folder: string): boolean {
  return existsSync(folder) && readdirSync(folder).some((name) => name.startsWith("chromium"));
}

async function canDownload(): Promise<boolean> {
  return fetch(DOWNLOADS, { method: "HEAD", signal: AbortSignal.timeout(DOWNLOADS_TIMEOUT_MS) }).then(
    () => true,
    () => false,
  );
}
