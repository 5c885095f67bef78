/** Shared by the programs in this folder: they print clear errors, stop on Ctrl-C and leave nothing running. */

import { stopOnSignals } from "../harness/process/shutdown-signals.js";
import { type System, type SystemOptions, startSystem } from "../local/system.js";
import { StartError } from "../services/server.js";

export interface Running {
  system: System;
  /** Aborted by Ctrl-C. */
  signal: AbortSignal;
}

/**
 * Starts a system, runs `work` with it, stops it, and ends this process: with the status that `work` returns, with
 * `whenStopped` after Ctrl-C, or with 1 and a message after an error.
 */
export async function runWithSystem(
  options: (signal: AbortSignal) => Promise<SystemOptions>,
  work: (running: Running) => Promise<number>,
  whenStopped = 0,
): Promise<never> {
  let system: System | undefined;
  // Everything that was started ends with this process.
  const signal = stopOnSignals(() => process.exit(130));
  let status: number;
  try {
    system = await startSystem({ ...(await unlessAborted(options(signal), signal)), signal });
    status = await work({ system, signal });
  } catch (error) {
    status = signal.aborted ? whenStopped : said(error);
  }
  await system?.stop();
  process.exit(status);
}

/** Rejects when the signal is aborted, without waiting for the work. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  return Promise.race([work, aborted]);
}

/** Prints the error: its message if it is expected, otherwise with its stack. */
function said(error: unknown): number {
  console.error(error instanceof StartError ? error.message : error);
  return 1;
}
