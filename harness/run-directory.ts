/** The folder of a run under .local/, with its logs and other files. The last few are retained for inspection. */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

const MAX_FINISHED_RUNS = 5;

/** Creates a folder for this process's next run, and removes those of finished runs except the newest. */
export function makeRunDirectory(root: string): string {
  const runs = join(root, ".local", "runs");
  mkdirSync(runs, { recursive: true });
  const over = readdirSync(runs)
    .filter((name) => !isRunning(Number(/-(\d+)$/.exec(name)?.[1])))
    .sort();
  for (const name of over.slice(0, -MAX_FINISHED_RUNS)) rmSync(join(runs, name), { recursive: true, force: true });

  const moment = new Date().toISOString().replace(/\D/g, "").slice(0, 17);
  const directory = join(runs, `${moment}-${process.pid}`);
  mkdirSync(directory);
  return directory;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
