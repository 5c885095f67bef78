/** How a child process runs one of the project's programs. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Flags with which Node.js runs TypeScript, from any folder. */
export const TYPESCRIPT = ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href];

/**
 * The arguments for Node.js. `local/run.mjs` sets BUILT_PROGRAMS to the folder of what `local/programs.mjs` has built; the source of
 * any other program is compiled when it starts.
 * @param file the program's source, such as cli/start.ts
 */
export function programArgs(file: string): string[] {
  const { BUILT_PROGRAMS } = process.env;
  const built = BUILT_PROGRAMS && join(BUILT_PROGRAMS, file.replace(/\.ts$/, ".js"));
  return built && existsSync(built) ? [built] : [...TYPESCRIPT, join(ROOT, file)];
}
