/** The servers' log: one JSON object a line, written a batch at a time so that a call does not cost a system call. */
import { writeSync } from "node:fs";
import type { Log } from "../../functions/src/ports.js";

/** Where finished lines go, several at once. */
export type Write = (lines: string) => void;

/** A log whose lines bear the name of the server. */
export function lineLog(server: string, write: Write = writeSoon): Log {
  const line = (severity: string) => (message: string, fields: object) =>
    write(`${JSON.stringify({ time: new Date().toISOString(), severity, server, message, ...fields })}\n`);
  return { debug: line("DEBUG"), info: line("INFO"), warn: line("WARNING"), error: line("ERROR") };
}

let waiting: string | undefined;

/** Writes what one turn of the event loop logs in one go, and what is left when the process ends. */
function writeSoon(lines: string): void {
  if (waiting === undefined) {
    // The reader of the log may be gone; the server continues without it.
    process.stdout.on("error", () => {});
    process.on("exit", () => flush((text) => writeSync(process.stdout.fd, text)));
    waiting = "";
  }
  if (waiting === "") setImmediate(flush, (text: string) => process.stdout.write(text));
  waiting += lines;
}

function flush(put: (text: string) => unknown): void {
  const text = waiting ?? "";
  waiting = "";
  try {
    if (text !== "") put(text);
  } catch {
    // The reader is gone.
  }
}
