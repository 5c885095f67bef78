/** Programs of the project as a person runs them, and what tests wait for. */
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

/** Runs one of the programs as its npm script does, and resolves with all that it printed. */
export function run(
  program: string,
  ...args: string[]
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ["local/run.mjs", program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (text) => (output.stdout += text));
  child.stderr.on("data", (text) => (output.stderr += text));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => resolve({ status, ...output }));
  });
}

/** No wait is shorter: the machine may be busy. */
const MIN_WAIT_MS = 300_000;

/** Waits until a condition holds, for at least five minutes before it gives up, or `milliseconds` if that is longer. */
export async function until(what: string, holds: () => Promise<boolean>, milliseconds: number): Promise<void> {
  const longest = Math.max(milliseconds, MIN_WAIT_MS);
  for (const started = Date.now(); !(await holds()); await sleep(250)) {
    if (Date.now() - started > longest) throw new Error(`timed out after ${longest} ms waiting until ${what}`);
  }
}
