/** Reads and writes the documents of the Firestore emulator, without applying security rules. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Field, Fields, Matching } from "../../functions/src/ports.js";

export interface Document {
  /** Such as relations/x. */
  path: string;
  fields: Fields;
}

/** The maximum of documents in one request. */
const PAGE = 500;

/** ABORTED and UNAVAILABLE: a busy emulator aborts a write that waits for another. */
const REPEATABLE_CODES = [10, 14];

const MAX_TRIES = 10;

/** The pause before a write is repeated: doubled each time, up to the second value. */
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 5_000;

/** The timeout of a request to a busy emulator. */
const ANSWER_TIMEOUT_MS = 60_000;

/** What follows in a document's name is its path. */
const DOCUMENTS = "/documents/";

/**
 * Every document of a collection.
 * @param firestore host:port of the emulator
 * @throws Error if the emulator does not answer
 */
export async function readCollection(firestore: string, project: string, collection: string): Promise<Document[]> {
  const found: Document[] = [];
  for (let token = ""; ; ) {
    const query = new URLSearchParams({ pageSize: String(PAGE), ...(token && { pageToken: token }) });
    const page = (await call(firestore, project, `/${collection}?${query}`, `${collection} was read`)) as {
      documents?: FoundDocument[];
      nextPageToken?: string;
    };
    for (const { name, fields } of page.documents ?? []) found.push({ path: pathIn(name), fields: fieldsOf(fields) });
    token = page.nextPageToken ?? "";
    if (token === "") return found;
  }
}

/**
 * Whether there is a document in a collection.
 * @throws Error if the emulator does not answer
 */
export async function hasDocuments(firestore: string, project: string, collection: string): Promise<boolean> {
  const page = await call(firestore, project, `/${collection}?pageSize=1`, `${collection} was read`);
  return (page as { documents?: unknown[] }).documents !== undefined;
}

/**
 * The documents with these paths as they are now, without fields when there is none.
 * @throws Error if the emulator does not answer
 */
export async function readDocuments(
  firestore: string,
  project: string,
  paths: string[],
): Promise<{ path: string; fields: Fields | undefined }[]> {
  const body = { documents: paths.map((path) => nameOf(project, path)) };
  const results = await call(firestore, project, ":batchGet", "documents were read", body);
  return (results as { found?: FoundDocument; missing?: string }[]).flatMap(({ found, missing }) => {
    const name = found?.name ?? missing;
    return name === undefined ? [] : [{ path: pathIn(name), fields: found && fieldsOf(found.fields) }];
  });
}

/**
 * How many documents match.
 * @throws Error if the emulator does not answer
 */
export async function countDocuments(
  firestore: string,
  project: string,
  { collection, field, oneOf }: Matching,
): Promise<number> {
  const where = { fieldFilter: { field: { fieldPath: field }, op: "IN", value: restValue(oneOf) } };
  const structuredQuery = { from: [{ collectionId: collection }], where };
  const body = { structuredAggregationQuery: { structuredQuery, aggregations: [{ alias: "count", count: {} }] } };
  const results = await call(firestore, project, ":runAggregationQuery", `${collection} was counted`, body);
  const [found] = results as { result?: { aggregateFields?: { count?: Value } } }[];
  return Number(fieldOf(found?.result?.aggregateFields?.count ?? { integerValue: "0" }));
}

/**
 * Overwrites documents unconditionally.
 * @throws Error if the emulator does not take one of them; others may have been written then
 */
export async function writeDocuments(firestore: string, project: string, documents: Document[]): Promise<void> {
  for (let from = 0; from < documents.length; from += PAGE) {
    let some = documents.slice(from, from + PAGE);
    for (let tries = 1; ; tries++) {
      some = await writeBatch(firestore, project, some, tries < MAX_TRIES);
      if (some.length === 0) break;
      await sleep(Math.min(FIRST_PAUSE_MS * 2 ** (tries - 1), MAX_PAUSE_MS));
    }
  }
}

/**
 * Resolves with the documents that could not be written now. The request succeeds even if some of its writes fail.
 * @throws Error if a document was refused, or failed and may not be repeated
 */
async function writeBatch(
  firestore: string,
  project: string,
  some: Document[],
  mayRepeat: boolean,
): Promise<Document[]> {
  const writes = some.map(({ path, fields }) => ({
    update: { name: nameOf(project, path), fields: valuesOf(fields) },
  }));
  const result = await call(firestore, project, ":batchWrite", "documents were written", { writes });
  const { status = [] } = result as { status?: { code?: number; message?: string }[] };
  return some.filter(({ path }, index) => {
    const { code = 0, message } = status[index] ?? {};
    if (code === 0) return false;
    if (mayRepeat && REPEATABLE_CODES.includes(code)) return true;
    throw new Error(`Firestore did not write ${path}: ${message} (code ${code})`);
  });
}

/** Asks about the documents of a project, with POST if there is a body. */
async function call(
  firestore: string,
  project: string,
  what: string,
  whatFailed: string,
  body?: object,
): Promise<unknown> {
  const response = await fetch(`http://${firestore}/v1/${nameOf(project)}${what}`, {
    method: body ? "POST" : "GET",
    headers: { Authorization: "Bearer owner", "Content-Type": "application/json" },
    body: body ? JSON.stringify(body) : null,
    signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
  });
  if (!response.ok) throw new Error(`Firestore answered ${response.status} when ${whatFailed}`);
  return response.json();
}

/** The full name of a document, or of all of a project. */
function nameOf(project: string, path?: string): string {
  return [`projects/${project}/databases/(default)/documents`, path].filter(Boolean).join("/");
}

function pathIn(name: string): string {
  return name.slice(name.indexOf(DOCUMENTS) + DOCUMENTS.length);
}

interface FoundDocument {
  name: string;
  fields?: Values;
}

/** A value as Firestore's REST interface writes it: one property, named after the type. */
type Value = Record<string, unknown>;
type Values = Record<string, Value>;

function fieldsOf(values: Values = {}): Fields {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, fieldOf(value)]));
}

function fieldOf(value: Value): Field {
  const [[type, content] = ["nullValue", null]] = Object.entries(value);
  switch (type) {
    case "integerValue":
    case "doubleValue":
      return Number(content);
    case "timestampValue":
      return new Date(content as string);
    case "mapValue":
      return fieldsOf((content as { fields?: Values }).fields);
    case "arrayValue":
      return ((content as { values?: Value[] }).values ?? []).map(fieldOf);
    default:
      return content as Field;
  }
}

/** Fields as Firestore's REST interface writes them. */
export function valuesOf(fields: Fields): Record<string, object> {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, restValue(field)]));
}

function restValue(field: Field): object {
  if (field === null) return { nullValue: null };
  if (field instanceof Date) return { timestampValue: field.toISOString() };
  if (Array.isArray(field)) return { arrayValue: { values: field.map(restValue) } };
  if (typeof field === "object") return { mapValue: { fields: valuesOf(field) } };
  if (typeof field === "boolean") return { booleanValue: field };
  if (typeof field === "string") return { stringValue: field };
  return Number.isInteger(field) ? { integerValue: String(field) } : { doubleValue: field };
}
