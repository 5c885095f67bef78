/** A store in memory that is as strict as Firestore about paths and values, and remembers who did not keep to it. */
import type { Field, Fields, Matching, Query, Snapshot, Store, Write } from "../../functions/src/ports.js";

const LONGEST_ID = 1_500;
const LARGEST_DOCUMENT = 1024 * 1024;
const MOST_VALUES = 30;

export class StrictStore implements Store {
  /** What Firestore would not have taken. */
  readonly complaints: string[] = [];
  readonly writes: Write[] = [];

  constructor(private readonly store: Store) {}

  read<const P extends readonly string[]>(...paths: P): Promise<{ [I in keyof P]: Snapshot | undefined }> {
    for (const path of paths) this.expectPath(path);
    return this.store.read(...paths);
  }

  async commit(writes: Write[]): Promise<string[]> {
    for (const write of writes) {
      this.expectPath(write.path);
      if (write.kind !== "delete") this.expectFields(write.fields);
    }
    const versions = await this.store.commit(writes);
    this.writes.push(...writes);
    return versions;
  }

  query(query: Query): Promise<Snapshot[]> {
    this.expectMatching(query);
    if (query.after !== undefined) this.expectPath(query.after);
    return this.store.query(query);
  }

  count(matching: Matching): Promise<number> {
    this.expectMatching(matching);
    return this.store.count(matching);
  }

  private expectMatching({ oneOf }: Matching): void {
    if (oneOf.length === 0 || oneOf.length > MOST_VALUES) this.complain(`a query for ${oneOf.length} values`);
    for (const value of oneOf) this.expectText(value);
  }

  private expectPath(path: string): void {
    const segments = path.split("/");
    if (segments.length % 2 !== 0 || !segments.every(isFirestoreId)) this.complain(`the path ${shown(path)}`);
  }

  private expectFields(fields: Fields): void {
    for (const [name, field] of Object.entries(fields)) {
      this.expectText(name);
      this.expectField(field);
    }
    if (Buffer.byteLength(JSON.stringify(fields)) > LARGEST_DOCUMENT)
      this.complain("a document of more than a megabyte");
  }

  private expectField(field: Field): void {
    if (field === undefined || (field instanceof Date && Number.isNaN(field.getTime()))) this.complain("no value");
    else if (typeof field === "string") this.expectText(field);
    else if (Array.isArray(field)) for (const each of field) this.expectField(each);
    else if (typeof field === "object" && field !== null && !(field instanceof Date)) this.expectFields(field);
  }

  private expectText(text: string): void {
    if (!isWellFormed(text)) this.complain(`the text ${shown(text)}`);
  }

  private complain(what: string): void {
    this.complaints.push(`Firestore does not take ${what}`);
  }
}

/** Whether Firestore takes this for an id. Source: its page on quotas and limits. */
export function isFirestoreId(id: string): boolean {
  const reserved = id === "" || id === "." || id === ".." || id.includes("/") || /^__.*__$/s.test(id);
  return !reserved && Buffer.byteLength(id) <= LONGEST_ID && isWellFormed(id);
}

/** Whether text comes back the same after a way through UTF-8. */
export function isWellFormed(text: string): boolean {
  return Buffer.from(text).toString() === text;
}

function shown(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
