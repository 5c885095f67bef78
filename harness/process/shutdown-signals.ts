/** What Ctrl-C does: the first one stops in order, a second one at once. */

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A terminal and npm both pass one Ctrl-C on; what comes within this time is the same one. In milliseconds. */
const SAME = 700;

/** Aborted by the first signal; calls `force` at the second. */
export function stopOnSignals(force: () => void): AbortSignal {
  const stopping = new AbortController();
  let first = 0;
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (!stopping.signal.aborted) {
        first = Date.now();
        stopping.abort(new Error(`stopped by ${signal}`));
      } else if (Date.now() - first > SAME) {
        force();
      }
    });
  }
  return stopping.signal;
}
