/** A listener that survives temporary errors: Firestore ends a listener on any error, and this starts another one. */
import type { DocumentChange, Watcher } from "./source.js";

const LISTEN_AGAIN_MS = 2_000;

/** A listener's snapshot. */
export interface Found {
  changes: DocumentChange[];
  /** The paths of all current documents. */
  paths(): Iterable<string>;
  isStale: boolean;
}

/**
 * Starts listening, and again whenever that fails, unless the session may not read.
 * @param listen starts a listener and returns what ends it
 * @returns what ends it all
 */
export function listenAgain(
  { onChanges, onDenied }: Watcher,
  listen: (onFound: (found: Found) => void, onError: (error: { code: string }) => void) => () => void,
  waitMs = LISTEN_AGAIN_MS,
): () => void {
  /** The documents that the watcher has. */
  const known = new Set<string>();
  let stop = () => {};
  let waiting: ReturnType<typeof setTimeout> | undefined;
  const start = () => {
    let isFirst = true;
    const onFound = ({ changes, paths, isStale }: Found) => {
      const all = [...changes];
      if (isFirst && !isStale) {
        isFirst = false;
        // Documents that were removed while nothing was listening are in no list of changes.
        const there = new Set(paths());
        for (const path of known) if (!there.has(path)) all.push({ path, fields: undefined });
      }
      for (const { path, fields } of all) {
        if (fields) known.add(path);
        else known.delete(path);
      }
      onChanges(all, isStale);
    };
    stop = listen(onFound, ({ code }) => {
      if (code === "permission-denied" || code === "unauthenticated") return onDenied();
      onChanges([], true);
      waiting = setTimeout(start, waitMs);
    });
  };
  start();
  return () => {
    clearTimeout(waiting);
    stop();
  };
}
