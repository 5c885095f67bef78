/** Data from an embedded run, over server-sent events. The page carries the token of the run that served it. */
import { ATTENTION_STATES, OPEN_STATES } from "./queries.js";
import type { DataSource, DocumentChange, Topic, Watcher } from "./source.js";

const RECONNECT_MS = 1_000;

/**
 * A hidden page looks this often, for its title, and holds no connection in between: a browser allows six to a server, and every
 * open page would hold one.
 */
const HIDDEN_REFRESH_MS = 60_000;

/** The server's events: first all documents that the console watches, then changes. */
interface ChangesEvent {
  isFirst: boolean;
  changes: DocumentChange[];
}

export function connectEmbedded(): DataSource {
  const token = document.querySelector<HTMLMetaElement>('meta[name="console-token"]')?.content ?? "";
  const stream = new ChangeStream(token);
  return {
    onSession: (listener) => listener({ name: "local", role: "operator" }),
    signIn: undefined,
    signOut: undefined,
    token: async () => token,
    watch: (topic, watcher) => stream.watch(topic, watcher),
    logsAddress: (order, attempt) => `/logs?${new URLSearchParams({ order, ...attempt, token })}`,
  };
}

/** One connection for all watchers, opened again whenever it ends. */
class ChangeStream {
  private readonly watchers = new Map<Watcher, Topic>();
  /** The latest fields of every document that came, for watchers that start later. */
  private readonly documents = new Map<string, DocumentChange["fields"]>();
  private isConnected = false;
  private isStarted = false;
  private connection = new AbortController();
  private waiting: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly token: string) {
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.connection.abort();
      else if (this.isStarted) void this.connect();
    });
  }

  watch(topic: Topic, watcher: Watcher): () => void {
    this.watchers.set(watcher, topic);
    // Until the connection is there, its first event or its failure notifies everyone.
    if (this.isConnected) this.notify(watcher, topic, this.current());
    else if (!this.isStarted) void this.connect();
    return () => this.watchers.delete(watcher);
  }

  private async connect(): Promise<void> {
    this.isStarted = true;
    clearTimeout(this.waiting);
    this.connection.abort();
    const connection = new AbortController();
    this.connection = connection;
    const { signal } = connection;
    try {
      const response = await fetch("/events", { headers: { Authorization: `Bearer ${this.token}` }, signal });
      if (response.status === 401 || response.status === 403) return this.deny();
      if (!response.ok || !response.body) throw new Error(`/events answered ${response.status}`);
      for await (const event of eventsIn(response.body)) {
        if (signal.aborted) return;
        this.take(JSON.parse(event) as ChangesEvent);
        if (document.hidden) connection.abort();
      }
    } catch {
      // The page is hidden, or the server is gone or restarting.
    }
    if (this.connection !== connection) return;
    if (!signal.aborted) {
      this.isConnected = false;
      for (const [{ onChanges }] of this.watchers) onChanges([], true);
    }
    this.waiting = setTimeout(() => void this.connect(), document.hidden ? HIDDEN_REFRESH_MS : RECONNECT_MS);
  }

  private deny(): void {
    for (const [{ onDenied }] of this.watchers) onDenied();
  }

  private take({ isFirst, changes }: ChangesEvent): void {
    this.isConnected = true;
    const there = new Set(changes.map(({ path }) => path));
    // After a reconnect, drop documents that the server no longer has.
    const gone = isFirst ? [...this.documents.keys()].filter((path) => !there.has(path)) : [];
    const all = [...gone.map((path) => ({ path, fields: undefined })), ...changes];
    for (const { path, fields } of all) {
      if (fields && isWatched(path, fields)) this.documents.set(path, fields);
      else this.documents.delete(path);
    }
    // A watcher that starts another one here does not get the same twice.
    for (const [watcher, topic] of [...this.watchers]) this.notify(watcher, topic, all);
  }

  private notify(watcher: Watcher, topic: Topic, changes: DocumentChange[]): void {
    const wanted = changes.flatMap(({ path, fields }) => {
      if (!belongs(path, topic)) return [];
      return [{ path, fields: fields && (typeof topic === "object" || isWatched(path, fields)) ? fields : undefined }];
    });
    watcher.onChanges(wanted, !this.isConnected);
  }

  private current(): DocumentChange[] {
    return [...this.documents].map(([path, fields]) => ({ path, fields }));
  }
}

function belongs(path: string, topic: Topic): boolean {
  if (topic === "active") return path.startsWith("relations/");
  if (topic === "attention") return path.startsWith("attempts/");
  if (topic === "health") return path.startsWith("leases/");
  return path === `relations/${topic.order}`;
}

function isWatched(path: string, { state }: { readonly [name: string]: unknown }): boolean {
  if (path.startsWith("leases/")) return true;
  const states: readonly string[] = path.startsWith("relations/") ? OPEN_STATES : ATTENTION_STATES;
  return typeof state === "string" && states.includes(state);
}

/** The data of each event in a stream: what stands after `data: `, up to an empty line. */
async function* eventsIn(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split("\n\n");
    text = events.pop() ?? "";
    for (const event of events) if (event.startsWith("data: ")) yield event.slice("data: ".length);
  }
}
