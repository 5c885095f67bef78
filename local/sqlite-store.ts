/**
 * The store in one SQLite file: an acknowledged commit survives a crash of the process and of the machine. Changes of
 * relations are recorded in the same transaction, and redelivered after a restart until their reactions are done.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { isDeepStrictEqual } from "node:util";
import { ConflictError, StoreError, ValidationError } from "../functions/src/domain/errors.js";
import { assertDocumentFits, assertWritable } from "../functions/src/firestore-limits.js";
import type { Fields, Matching, Query, Snapshot, Store, Write } from "../functions/src/ports.js";
import { RELATIONS } from "../functions/src/relations/relation.js";
import { fieldsFromJson, fieldsToJson } from "./field-json.js";

/** A file with a newer layout was written by a newer build. */
const LAYOUT = 1;

/** How long to wait while another process, such as `npm run resolve`, writes, in milliseconds. */
const BUSY_TIMEOUT_MS = 5_000;

/** The queried fields, as in firestore.indexes.json. */
const INDEXED = ["state", "order", "hour", "customerId"];

/** The queried fields that are sorted by a time. */
const SORTED = [
  ["customerId", "placedAt"],
  ["hour", "at"],
] as const;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS documents (
    path TEXT PRIMARY KEY, collection TEXT NOT NULL, fields TEXT NOT NULL, version INTEGER NOT NULL
  ) WITHOUT ROWID;
  ${INDEXED.map(
    (field) => `CREATE INDEX IF NOT EXISTS documents_by_${field} ON documents (collection, ${textOf(field)}, path);`,
  ).join("\n  ")}
  ${SORTED.map(
    ([field, time]) =>
      `CREATE INDEX IF NOT EXISTS documents_by_${field}_and_${time} ON documents (collection, ${textOf(field)}, ${timeOf(time)}, path);`,
  ).join("\n  ")}
  CREATE TABLE IF NOT EXISTS changes (number INTEGER PRIMARY KEY AUTOINCREMENT, before TEXT, after TEXT);
  CREATE TABLE IF NOT EXISTS commits (latest INTEGER NOT NULL);
  INSERT INTO commits SELECT 0 WHERE NOT EXISTS (SELECT * FROM commits);
  PRAGMA user_version = ${LAYOUT};
`;

/** How often to look for changes of other processes, in milliseconds. */
const FOREIGN_CHANGES_MS = 1_000;

export interface Change {
  before: Snapshot | undefined;
  after: Snapshot | undefined;
}

export interface SqliteStoreOptions {
  /** Called at least once for each change of a relation, including those of other processes. The promise resolves when it is delivered. */
  deliver(change: Change): Promise<void>;
}

interface PendingCommit {
  writes: Write[];
  resolve(versions: string[]): void;
  reject(error: unknown): void;
}

/** A change with its number in the file. */
interface Recorded {
  number: number;
  change: Change;
}

type Row = { path: string; fields: string; version: number };

export class SqliteStore implements Store {
  private readonly database: DatabaseSync;
  private readonly statements = new Map<string, StatementSync>();
  private pending: PendingCommit[] = [];
  /** Numbers of changes that are being delivered, and of those that were; the next transaction deletes the latter. */
  private readonly inDelivery = new Set<number>();
  private delivered: number[] = [];
  private timer: NodeJS.Timeout | undefined;
  private closed = false;

  /**
   * Opens the file, or creates it.
   * @throws Error when it can't be opened, is no database, or has a newer layout
   */
  constructor(
    file: string,
    private readonly options?: SqliteStoreOptions,
  ) {
    this.database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
    const { user_version: layout } = this.row("PRAGMA user_version") as { user_version: number };
    if (layout > LAYOUT) throw new Error(`${file} was written by a newer version of this program (layout ${layout})`);
    // FULL: the write-ahead log is on the disk before a commit returns.
    this.database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    this.transaction(() => this.database.exec(SCHEMA));
  }

  async read<const P extends readonly string[]>(...paths: P): Promise<{ [I in keyof P]: Snapshot | undefined }> {
    return translateErrors(() => paths.map((path) => this.find(path)) as { [I in keyof P]: Snapshot | undefined });
  }

  /** Commits of one turn of the event loop share a transaction, and so the wait for the disk; each is applied whole or not at all. */
  commit(writes: Write[]): Promise<string[]> {
    return new Promise((resolve, reject) => {
      if (this.closed) return reject(new StoreError("the store is closed"));
      if (this.pending.length === 0) setImmediate(() => this.flush());
      this.pending.push({ writes, resolve, reject });
    });
  }

  async query({ limit, after, afterTime, ...matching }: Query): Promise<Snapshot[]> {
    const { collection, field, oneOf } = matching;
    const { condition, values, order } = page(matching, after, afterTime);
    const sql = `SELECT path, fields, version FROM documents ${where(matching)} ${condition} ORDER BY ${order} LIMIT ?`;
    return translateErrors(() => {
      const rows = this.prepared(sql).all(collection, ...oneOf, ...values, limit) as Row[];
      // In SQLite, the number 7 may equal the text "7", and a list its text.
      return rows.map(snapshotOf).filter(({ fields }) => oneOf.includes(fields[field] as string));
    });
  }

  async count(matching: Matching): Promise<number> {
    const sql = `SELECT count(*) AS count FROM documents ${where(matching)}`;
    return translateErrors(() => {
      const { count } = this.prepared(sql).get(matching.collection, ...matching.oneOf) as { count: number };
      return count;
    });
  }

  /** Every document of a collection. */
  all(collection: string): Snapshot[] {
    const sql = "SELECT path, fields, version FROM documents WHERE collection = ? ORDER BY path";
    return (this.prepared(sql).all(collection) as Row[]).map(snapshotOf);
  }

  /** Every document of every collection. */
  everything(): Snapshot[] {
    const sql = "SELECT path, fields, version FROM documents ORDER BY path";
    return (this.prepared(sql).all() as Row[]).map(snapshotOf);
  }

  /** Whether there is a document in a collection. */
  has(collection: string): boolean {
    return this.prepared("SELECT 1 FROM documents WHERE collection = ? LIMIT 1").get(collection) !== undefined;
  }

  /** Deletes every document of a collection, and delivers no change. */
  clear(collection: string): void {
    this.prepared("DELETE FROM documents WHERE collection = ?").run(collection);
  }

  /** Delivers changes that earlier runs left undelivered, and from then on changes of other processes. */
  startDelivery(): void {
    this.deliverOutstanding();
    this.timer = setInterval(() => this.deliverOutstanding(), FOREIGN_CHANGES_MS).unref();
  }

  private deliverOutstanding(): void {
    const numbers = this.prepared("SELECT number FROM changes ORDER BY number").all() as {
      number: number;
    }[];
    for (const { number } of numbers) {
      if (this.inDelivery.has(number)) continue;
      const found = this.prepared("SELECT before, after FROM changes WHERE number = ?").get(number);
      const { before, after } = found as { before: string | null; after: string | null };
      this.deliver(number, { before: changeFromJson(before), after: changeFromJson(after) });
    }
  }

  /** Overwrites documents, and deletes those without fields, unconditionally. Delivers no change. */
  overwrite(documents: { path: string; fields: Fields | undefined }[]): void {
    this.transaction(() => {
      const version = this.nextVersion();
      for (const { path, fields } of documents) {
        if (fields) this.put(path, fieldsToJson(fields), version);
        else this.prepared("DELETE FROM documents WHERE path = ?").run(path);
      }
    });
  }

  close(): void {
    if (this.closed) return;
    clearInterval(this.timer);
    this.flush();
    this.closed = true;
    this.database.close();
  }

  private flush(): void {
    if (this.closed) return;
    const commits = this.pending;
    this.pending = [];
    const settled: (() => void)[] = [];
    const changes: Recorded[] = [];
    try {
      this.transaction(() => {
        for (const number of this.delivered) this.prepared("DELETE FROM changes WHERE number = ?").run(number);
        for (const commit of commits) {
          this.database.exec("SAVEPOINT one");
          settled.push(this.applyOrRollBack(commit, changes));
          this.database.exec("RELEASE one");
        }
      });
    } catch (error) {
      for (const { reject } of commits) reject(new StoreError(`SQLite: ${(error as Error).message}`, { cause: error }));
      return;
    }
    for (const number of this.delivered) this.inDelivery.delete(number);
    this.delivered = [];
    for (const settle of settled) settle();
    for (const { number, change } of changes) this.deliver(number, change);
  }

  /** Applies a commit atomically. Returns a function that settles it once the transaction is on the disk. */
  private applyOrRollBack({ writes, resolve, reject }: PendingCommit, changes: Recorded[]): () => void {
    try {
      const applied = this.apply(writes);
      changes.push(...applied.changes);
      return () => resolve(applied.versions);
    } catch (error) {
      if (!(error instanceof ConflictError || error instanceof ValidationError)) throw error;
      this.database.exec("ROLLBACK TO one");
      return () => reject(error);
    }
  }

  private apply(writes: Write[]): { versions: string[]; changes: Recorded[] } {
    assertWritable(writes);
    for (const write of writes) this.checkPrecondition(write);
    const version = this.nextVersion();
    const changes: Recorded[] = [];
    const versions = writes.map((write) => {
      const { path } = write;
      const before = this.find(path);
      if (write.kind === "delete") this.prepared("DELETE FROM documents WHERE path = ?").run(path);
      else {
        const fields = { ...before?.fields, ...write.fields };
        assertDocumentFits(path, fields);
        const json = fieldsToJson(fields);
        // As in Firestore, a write that changes nothing gives no new version.
        if (before && isDeepStrictEqual(before.fields, fieldsFromJson(json))) return before.version;
        this.put(path, json, version);
      }
      if (collectionOf(path) === RELATIONS) changes.push(this.record({ before, after: this.find(path) }));
      return String(version);
    });
    return { versions, changes };
  }

  private checkPrecondition(write: Write): void {
    const document = this.find(write.path);
    if (write.kind === "create" ? document !== undefined : document?.version !== write.version) {
      throw new ConflictError(`${write.path} does not meet the precondition of the ${write.kind}`);
    }
  }

  private record(change: Change): Recorded {
    const { lastInsertRowid } = this.prepared("INSERT INTO changes (before, after) VALUES (?, ?)").run(
      changeToJson(change.before),
      changeToJson(change.after),
    );
    return { number: Number(lastInsertRowid), change };
  }

  private deliver(number: number, change: Change): void {
    if (!this.options) return;
    this.inDelivery.add(number);
    void this.options.deliver(change).then(() => this.delivered.push(number));
  }

  private find(path: string): Snapshot | undefined {
    const row = this.prepared("SELECT path, fields, version FROM documents WHERE path = ?").get(path);
    return row && snapshotOf(row as Row);
  }

  private put(path: string, json: string, version: number): void {
    this.prepared("INSERT OR REPLACE INTO documents (path, collection, fields, version) VALUES (?, ?, ?, ?)").run(
      path,
      collectionOf(path),
      json,
      version,
    );
  }

  /** A number that no earlier commit had, in this run or another. */
  private nextVersion(): number {
    return (this.row("UPDATE commits SET latest = latest + 1 RETURNING latest") as { latest: number }).latest;
  }

  private transaction(work: () => void): void {
    this.database.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.database.exec("COMMIT");
    } catch (error) {
      // SQLite may have ended the transaction itself, such as on a full disk.
      if (this.database.isTransaction) this.database.exec("ROLLBACK");
      throw error;
    }
  }

  private row(sql: string): object {
    return this.prepared(sql).get() as object;
  }

  private prepared(sql: string): StatementSync {
    const there = this.statements.get(sql);
    if (there) return there;
    const statement = this.database.prepare(sql);
    this.statements.set(sql, statement);
    return statement;
  }
}

function snapshotOf({ path, fields, version }: Row): Snapshot {
  return { path, fields: fieldsFromJson(fields), version: String(version) };
}

function collectionOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

function changeToJson(snapshot: Snapshot | undefined): string | null {
  return snapshot ? fieldsToJson({ ...snapshot }) : null;
}

function changeFromJson(json: string | null): Snapshot | undefined {
  return json === null ? undefined : (fieldsFromJson(json) as unknown as Snapshot);
}

function translateErrors<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new StoreError(`SQLite: ${(error as Error).message}`, { cause: error });
  }
}

/** The condition of a query. */
function where({ field, oneOf, latestBy }: Matching): string {
  const hasTime = latestBy === undefined ? "" : ` AND ${timeOf(latestBy)} IS NOT NULL`;
  return `WHERE collection = ? AND ${textOf(field)} IN (${oneOf.map(() => "?").join(", ")})${hasTime}`;
}

/** The rest of a query: the start of the page, and the sort order. */
function page({ latestBy }: Matching, after: string | undefined, afterTime: Date | undefined) {
  if (latestBy === undefined) return { condition: "AND path > ?", values: [after ?? ""], order: "path" };
  const time = timeOf(latestBy);
  const order = `${time} DESC, path DESC`;
  if (after === undefined || afterTime === undefined) return { condition: "", values: [], order };
  // The first part, which the second implies, is what an index can begin at.
  const condition = `AND ${time} <= ? AND (${time}, path) < (?, ?)`;
  return { condition, values: [afterTime.getTime(), afterTime.getTime(), after], order };
}

/** A field's value. Its path is a literal, since the index is on exactly this expression. */
function textOf(field: string): string {
  return `json_extract(fields, '$.${JSON.stringify(field).replaceAll("'", "''")}')`;
}

/** The milliseconds of a field that holds a time, as `fieldsToJson` writes it. */
function timeOf(field: string): string {
  return `json_extract(fields, '$.${JSON.stringify(field).replaceAll("'", "''")}."$"[1]')`;
}
