/** The console for a run: it is built once from the current sources, and copied from then on. */
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { ROOT } from "../harness/root.js";

/** What the console is built from. */
const SOURCES = ["operator-console/src", "functions/src"];
const SOURCE_FILES = ["operator-console/build.ts", "operator-console/no-pipelines.ts", "package-lock.json"];

/** Earlier builds are deleted after this time, since another run may be copying one. */
const KEPT_MS = 86_400_000;

interface ConsoleOptions {
  root?: string;
  build?(dist: string): Promise<unknown>;
}

/**
 * Puts the console into a folder that does not exist yet.
 * @throws Error if a source can't be compiled
 */
export async function provideConsole(
  dist: string,
  { root = ROOT, build = buildFromSources }: ConsoleOptions = {},
): Promise<void> {
  const builds = join(root, ".local", "console-builds");
  const built = join(builds, keyOf(root));
  if (!existsSync(built)) {
    mkdirSync(builds, { recursive: true });
    const making = mkdtempSync(join(builds, "making-"));
    try {
      await build(making);
      if (!existsSync(built)) renameSync(making, built);
    } catch (error) {
      // Another run may have finished the same build first.
      if (!existsSync(built)) throw error;
    } finally {
      rmSync(making, { recursive: true, force: true });
    }
    removeEarlier(builds);
  }
  cpSync(built, dist, { recursive: true });
}

/** esbuild is loaded only if there is something to build. */
async function buildFromSources(dist: string): Promise<void> {
  const { buildConsole } = await import("../operator-console/build.js");
  await buildConsole(dist);
}

/** Differs if any source does. */
function keyOf(root: string): string {
  const found = SOURCES.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  const hash = createHash("sha256");
  for (const file of [...found.sort(), ...SOURCE_FILES.map((file) => join(root, file))]) {
    const content = readFileSync(file);
    hash.update(`${file.slice(root.length)} ${content.length}\n`).update(content);
  }
  return hash.digest("hex").slice(0, 16);
}

function removeEarlier(builds: string): void {
  for (const name of readdirSync(builds)) {
    const path = join(builds, name);
    const { mtimeMs = Date.now() } = statSync(path, { throwIfNoEntry: false }) ?? {};
    if (Date.now() - mtimeMs > KEPT_MS) rmSync(path, { recursive: true, force: true });
  }
}
