/** Ends a process that uses more processor time than it should: unlike time on the clock, a busy machine does not shorten it. */
import { Worker } from "node:worker_threads";

const WATCH = `
const { workerData: { began, seconds } } = require("node:worker_threads");
let seen = -1;
let before = process.cpuUsage();
setInterval(() => {
  if (began[0] !== seen) [seen, before] = [began[0], process.cpuUsage()];
  if (process.cpuUsage(before).user > seconds * 1e6) process.kill(process.pid, "SIGKILL");
}, 500);`;

/**
 * Watches this process from a thread of its own, so that an endless loop is noticed too.
 * @param seconds how much processor time each piece of work may use
 * @returns to be called when another piece of work begins
 */
export function watch(seconds: number): () => void {
  const began = new Int32Array(new SharedArrayBuffer(4));
  new Worker(WATCH, { eval: true, execArgv: [], workerData: { began, seconds } }).unref();
  return () => {
    Atomics.add(began, 0, 1);
  };
}
