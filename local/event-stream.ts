/** The compressed event stream of one console: first all documents that it watches, then changes. */
import type { ServerResponse } from "node:http";
import { createGzip } from "node:zlib";
import { ATTEMPT_STATES } from "../functions/src/attempts/attempt.js";
import { RELATION_STATES } from "../functions/src/domain/order-lifecycle.js";
import type { Snapshot } from "../functions/src/ports.js";
import type { ObservedStore, Written } from "./observed-store.js";

/** Changes are batched for this long. */
const FLUSH_MS = 50;

/** All documents are read again at this interval, since another process may write to the same store. */
const REFRESH_MS = 10_000;

const MAX_DOCUMENTS = 10_000;
const LEASES = ["leases/poll", "leases/sweep"];
const OPEN = namesOf(RELATION_STATES, ({ open }) => open);
const NEEDS_OPERATOR = namesOf(ATTEMPT_STATES, ({ needsOperator }) => needsOperator);

export class EventStream {
  /** The version of each document that the console has. */
  private readonly sent = new Map<string, string>();
  /** The documents written since the last event. */
  private readonly pending = new Map<string, Snapshot | undefined>();
  private readonly out = createGzip();
  private readonly stopObserving: () => void;
  private flushing: NodeJS.Timeout | undefined;
  private refreshing: NodeJS.Timeout | undefined;
  private isStarted = false;
  private isEnded = false;

  constructor(
    private readonly store: ObservedStore,
    private readonly response: ServerResponse,
  ) {
    this.out.pipe(response);
    this.stopObserving = store.observe((documents) => {
      for (const { path, found } of documents) if (isWatched(path)) this.pending.set(path, found);
      this.flushSoon();
    });
  }

  async start(): Promise<void> {
    this.send(true, await this.readAll());
    this.isStarted = true;
    this.flushSoon();
    this.refreshing = setInterval(() => void this.refresh().catch(() => this.response.destroy()), REFRESH_MS).unref();
  }

  end(): void {
    this.isEnded = true;
    this.stopObserving();
    clearTimeout(this.flushing);
    clearInterval(this.refreshing);
    this.out.end();
  }

  /** Sends documents that another process has written or deleted. */
  private async refresh(): Promise<void> {
    const began = new Map(this.sent);
    const found = new Map((await this.readAll()).map((written) => [written.path, written.found]));
    // What this process has written since the look began is newer than what was found.
    const isOlder = (path: string) => this.pending.has(path) || this.sent.get(path) !== began.get(path);
    const changed = [...new Set([...began.keys(), ...found.keys()])].filter(
      (path) => !isOlder(path) && found.get(path)?.version !== this.sent.get(path),
    );
    this.send(
      false,
      changed.map((path) => ({ path, found: found.get(path) })),
    );
  }

  private async readAll(): Promise<Written[]> {
    const matching = (collection: string, oneOf: string[]) =>
      this.store.query({ collection, field: "state", oneOf, limit: MAX_DOCUMENTS });
    const [relations, attempts, leases] = await Promise.all([
      matching("relations", OPEN),
      matching("attempts", NEEDS_OPERATOR),
      this.store.read(...LEASES),
    ]);
    const found = [...relations, ...attempts, ...leases.filter((lease) => lease !== undefined)];
    return found.map((snapshot) => ({ path: snapshot.path, found: snapshot }));
  }

  private flushSoon(): void {
    if (!this.isStarted) return;
    this.flushing ??= setTimeout(() => {
      this.flushing = undefined;
      const written = [...this.pending].map(([path, found]) => ({ path, found }));
      this.pending.clear();
      this.send(false, written);
    }, FLUSH_MS);
  }

  private send(isFirst: boolean, written: Written[]): void {
    if (this.isEnded || (written.length === 0 && !isFirst)) return;
    for (const { path, found } of written) {
      if (found) this.sent.set(path, found.version);
      else this.sent.delete(path);
    }
    const changes = written.map(({ path, found }) => ({ path, fields: found?.fields }));
    this.out.write(`data: ${JSON.stringify({ isFirst, changes })}\n\n`);
    this.out.flush();
  }
}

function isWatched(path: string): boolean {
  return /^(relations|attempts)\//.test(path) || LEASES.includes(path);
}

function namesOf<T extends object>(table: T, isWanted: (entry: T[keyof T]) => boolean): string[] {
  return (Object.keys(table) as (keyof T & string)[]).filter((name) => isWanted(table[name]));
}
