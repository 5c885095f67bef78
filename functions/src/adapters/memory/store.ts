/** The store in one process: Firestore's guarantees, on a map. */
import { isDeepStrictEqual } from "node:util";
import { ConflictError } from "../../domain/errors.js";
import { assertDocumentFits, assertWritable } from "../../firestore-limits.js";
import type { Field, Fields, Matching, Query, Snapshot, Store, Write } from "../../ports.js";

interface Document {
  fields: Fields;
  version: string;
}

/** Called once for each written document, as a Firestore trigger would be. */
export type OnWrite = (change: { before: Snapshot | undefined; after: Snapshot | undefined }) => void;

export class MemoryStore implements Store {
  private readonly documents = new Map<string, Document>();
  private writes = 0;

  constructor(private readonly onWrite: OnWrite = () => {}) {}

  async read<const P extends readonly string[]>(...paths: P): Promise<{ [I in keyof P]: Snapshot | undefined }> {
    return paths.map((path) => this.peek(path)) as { [I in keyof P]: Snapshot | undefined };
  }

  async commit(writes: Write[]): Promise<string[]> {
    assertWritable(writes);
    for (const write of writes) this.demand(write);
    for (const write of writes) {
      if (write.kind === "update")
        assertDocumentFits(write.path, { ...this.peek(write.path)?.fields, ...write.fields });
    }
    const version = String(++this.writes);
    for (const write of writes) {
      const before = this.peek(write.path);
      if (write.kind === "delete") this.documents.delete(write.path);
      else {
        const fields: Fields = Object.freeze({ ...before?.fields, ...frozen(write.fields) });
        // Firestore triggers no event for a write that changes nothing.
        if (before && isDeepStrictEqual(before.fields, fields)) continue;
        this.documents.set(write.path, { fields, version });
      }
      this.onWrite({ before, after: this.peek(write.path) });
    }
    return writes.map(({ path }) => this.documents.get(path)?.version ?? version);
  }

  async query({ limit, after, afterTime, ...matching }: Query): Promise<Snapshot[]> {
    const compare = comparison(matching);
    const last = after === undefined ? undefined : { path: after, fields: timeField(matching, afterTime) };
    return this.matching(matching)
      .flatMap((path) => this.peek(path) ?? [])
      .filter((found) => last === undefined || compare(found, last) > 0)
      .sort(compare)
      .slice(0, limit);
  }

  async count(matching: Matching): Promise<number> {
    return this.matching(matching).length;
  }

  private matching({ collection, field, oneOf, latestBy }: Matching): string[] {
    const found: string[] = [];
    for (const [path, { fields }] of this.documents) {
      const value = fields[field];
      const hasTime = latestBy === undefined || fields[latestBy] !== undefined;
      if (isIn(path, collection) && typeof value === "string" && oneOf.includes(value) && hasTime) found.push(path);
    }
    return found;
  }

  /** Every document of a collection. */
  all(collection: string): Snapshot[] {
    return [...this.documents.keys()].filter((path) => isIn(path, collection)).flatMap((path) => this.peek(path) ?? []);
  }

  /** The current document, undefined if there is none. Stored documents are replaced, never mutated. */
  peek(path: string): Snapshot | undefined {
    const document = this.documents.get(path);
    return document && { path, fields: document.fields, version: document.version };
  }

  private demand(write: Write): void {
    const document = this.documents.get(write.path);
    const isMet = write.kind === "create" ? !document : document && document.version === write.version;
    if (!isMet) {
      throw new ConflictError(`${write.path} does not meet the precondition of the ${write.kind}`);
    }
  }
}

function isIn(path: string, collection: string): boolean {
  return path.startsWith(`${collection}/`) && !path.includes("/", collection.length + 1);
}

type Place = Pick<Snapshot, "path" | "fields">;

/** The sort order of a query. */
function comparison({ latestBy }: Matching): (one: Place, other: Place) => number {
  if (latestBy === undefined) return (one, other) => byBytes(one.path, other.path);
  const time = ({ fields }: Place) => Number(fields[latestBy]);
  return (one, other) => time(other) - time(one) || byBytes(other.path, one.path);
}

function timeField({ latestBy }: Matching, time: Date | undefined): Fields {
  return latestBy !== undefined && time ? { [latestBy]: time } : {};
}

/** Firestore sorts ids by their UTF-8 bytes. */
function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}

/** A deeply frozen copy. */
function frozen<F extends Field>(field: F): F {
  if (field === null || typeof field !== "object") return field;
  if (field instanceof Date) return new Date(field) as F;
  if (Array.isArray(field)) return Object.freeze(field.map(frozen)) as unknown as F;
  const copy: Fields = {};
  for (const [name, value] of Object.entries(field)) copy[name] = frozen(value);
  return Object.freeze(copy) as F;
}
