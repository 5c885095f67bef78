/** What Ctrl-C does: the first one stops in order, a second one at once. */

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A terminal and npm both forward one Ctrl-C; signals within this time count as the same one. */
const SAME_SIGNAL_MS = 700;

/** Aborted by the first signal; calls `force` at the second. */
export function stopOnSignals(force: () => void): AbortSignal {
  const stopping = new AbortController();
  let first = 0;
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (!stopping.signal.aborted) {
        first = Date.now();
        stopping.abort(new Error(`stopped by ${signal}`));
      } else if (Date.now() - first > SAME_SIGNAL_MS) {
        force();
      }
    });
  }
  return stopping.signal;
}
