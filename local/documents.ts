/** Reads the documents of the Firestore emulator, past the rules. */
import type { Field, Fields } from "../functions/src/ports.js";

export interface Document {
  /** Such as relations/x. */
  path: string;
  fields: Fields;
}

const PAGE = 1000;

/**
 * Every document of a collection.
 * @param firestore host:port of the emulator
 * @param only the top-level fields that are wanted; all where left out
 * @throws Error where the emulator does not answer
 */
export async function readCollection(
  firestore: string,
  project: string,
  collection: string,
  only: string[] = [],
): Promise<Document[]> {
  const found: Document[] = [];
  const root = `projects/${project}/databases/(default)/documents`;
  for (let token = ""; ; ) {
    const query = new URLSearchParams({ pageSize: String(PAGE), ...(token && { pageToken: token }) });
    for (const field of only) query.append("mask.fieldPaths", field);
    const response = await fetch(`http://${firestore}/v1/${root}/${collection}?${query}`, {
      headers: { Authorization: "Bearer owner" },
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.ok) throw new Error(`Firestore answered ${response.status} when ${collection} was read`);
    const page = (await response.json()) as { documents?: { name: string; fields?: Values }[]; nextPageToken?: string };
    for (const { name, fields = {} } of page.documents ?? []) {
      found.push({ path: name.slice(name.indexOf(root) + root.length + 1), fields: fieldsOf(fields) });
    }
    token = page.nextPageToken ?? "";
    if (token === "") return found;
  }
}

/** A value as Firestore's REST interface writes it: one property, named after the type. */
type Value = Record<string, unknown>;
type Values = Record<string, Value>;

function fieldsOf(values: Values): Fields {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, fieldOf(value)]));
}

function fieldOf(value: Value): Field {
  const [[type, content] = ["nullValue", null]] = Object.entries(value);
  switch (type) {
    case "integerValue":
      return Number(content);
    case "timestampValue":
      return new Date(content as string);
    case "mapValue":
      return fieldsOf((content as { fields?: Values }).fields ?? {});
    case "arrayValue":
      return ((content as { values?: Value[] }).values ?? []).map(fieldOf);
    default:
      return content as Field;
  }
}
