/** Everything that the console watches all the time: active orders, orders that need attention, and how the system is doing. */
import type { DataSource, DocumentChange, Topic } from "./data/source.js";
import { type Attention, attentionIn, type Health, healthIn, type Relation, relationIn } from "./documents.js";

/** A watched collection: what could be read of it, by path. */
interface Watched<T> {
  readonly documents: Map<string, T>;
  readonly unreadable: Set<string>;
  isComplete: boolean;
  isStale: boolean;
}

export interface Live {
  readonly active: ReadonlyMap<string, Relation>;
  readonly attention: ReadonlyMap<string, Attention>;
  readonly health: Health;
  /** Whether what is few has arrived once: all but the active orders. What is shown from then on stays where it is. */
  readonly isReady: boolean;
  /** Whether everything has arrived once. */
  readonly isComplete: boolean;
  /** Whether what is shown may be old. */
  readonly isStale: boolean;
  /** How many documents this console can't read. */
  readonly unreadable: number;
  stop(): void;
}

/**
 * Starts watching.
 * @param onChange is called after each batch of changes
 * @param onDenied is called when the session may not read any of it
 */
export function startLive(source: DataSource, onChange: () => void, onDenied: () => void): Live {
  const stops: (() => void)[] = [];
  const stop = () => {
    for (const end of stops.splice(0)) end();
  };
  const attention = nothingYet<Attention>();
  const health = nothingYet<Fields>();
  const active = nothingYet<Relation>();
  const all = [attention, health, active];
  const isReady = () => attention.isComplete && health.isComplete;
  const watch = <T>(watched: Watched<T>, topic: Topic, parse: (path: string, fields: Fields) => T | undefined) => {
    const onChanges = (changes: DocumentChange[], isStale: boolean) => {
      const wasReady = isReady();
      for (const change of changes) apply(change, parse, watched);
      watched.isStale = isStale;
      watched.isComplete ||= !isStale;
      // Firestore reports nothing until it has all that it was asked for, so the many active orders come after the rest.
      if (isReady() && !wasReady) watch(active, "active", relationIn);
      onChange();
    };
    const denied = () => {
      stop();
      onDenied();
    };
    stops.push(source.watch(topic, { onChanges, onDenied: denied }));
  };
  watch(attention, "attention", attentionIn);
  watch(health, "health", (_path, fields) => fields);
  /** The same object as long as the documents are the same: views compare it. */
  let latest: { poll: Fields | undefined; sweep: Fields | undefined; health: Health } | undefined;
  for (const name of ["online", "offline"] as const) {
    window.addEventListener(name, onChange);
    stops.push(() => window.removeEventListener(name, onChange));
  }
  return {
    active: active.documents,
    attention: attention.documents,
    get health() {
      const [poll, sweep] = ["leases/poll", "leases/sweep"].map((path) => health.documents.get(path));
      if (!latest || latest.poll !== poll || latest.sweep !== sweep)
        latest = { poll, sweep, health: healthIn(poll, sweep) };
      return latest.health;
    },
    get isReady() {
      return isReady();
    },
    get isComplete() {
      return all.every(({ isComplete }) => isComplete);
    },
    get isStale() {
      return !navigator.onLine || all.some(({ isComplete, isStale }) => isComplete && isStale);
    },
    get unreadable() {
      return active.unreadable.size + attention.unreadable.size;
    },
    stop,
  };
}

type Fields = NonNullable<DocumentChange["fields"]>;

function nothingYet<T>(): Watched<T> {
  return { documents: new Map(), unreadable: new Set(), isComplete: false, isStale: true };
}

function apply<T>(
  { path, fields }: DocumentChange,
  parse: (path: string, fields: Fields) => T | undefined,
  { documents, unreadable }: Watched<T>,
): void {
  unreadable.delete(path);
  const parsed = fields && parse(path, fields);
  if (parsed) documents.set(path, parsed);
  else documents.delete(path);
  if (fields && !parsed) unreadable.add(path);
}
