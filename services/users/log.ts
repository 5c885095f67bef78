/** The servers' log: one JSON object a line, written a batch at a time so that a call does not cost a system call. */
import { writeSync } from "node:fs";
import type { Log } from "../../functions/src/ports.js";

/** Where finished lines go, several at once. */
export type Write = (lines: string) => void;

/** A log whose lines bear the name of the server. */
export function lineLog(server: string, write: Write = batchedStdout()): Log {
  const line = (severity: string) => (message: string, fields: object) =>
    write(`${JSON.stringify({ time: new Date().toISOString(), severity, server, message, ...fields })}\n`);
  return { info: line("INFO"), warn: line("WARNING"), error: line("ERROR") };
}

/** Writes what one turn of the event loop logged in one go, and the rest when the process ends. */
function batchedStdout(): Write {
  let waiting = "";
  const flush = (put: Write) => {
    const lines = waiting;
    waiting = "";
    if (lines !== "") put(lines);
  };
  // Whoever read the log may be gone; the server goes on without it.
  process.stdout.on("error", () => {});
  process.on("exit", () => {
    try {
      flush((lines) => writeSync(process.stdout.fd, lines));
    } catch {
      // The reader is gone.
    }
  });
  return (lines) => {
    if (waiting === "") setImmediate(flush, (text: string) => process.stdout.write(text));
    waiting += lines;
  };
}
