/**
 * Firestore's limits, as one check for every store: Firestore accepts every write that passes, and the in-memory and SQLite stores
 * reject what Firestore would reject. Sources: Firestore's page on quotas and limits, and its emulator.
 */
import { ValidationError } from "./domain/errors.js";
import { isStorableTime } from "./domain/storable.js";
import type { Field, Fields, Write } from "./ports.js";

const MAX_ID_BYTES = 1_500;
/** The maximum length of a field's path: the names of the maps around it and its own, joined by dots. */
const MAX_FIELD_PATH_BYTES = 1_500;
const MAX_VALUE_BYTES = 1_048_487;
export const MAX_DOCUMENT_BYTES = 1_048_576;
/** The maximum depth of nested maps and lists. */
const MAX_DEPTH = 20;

/**
 * Rejects writes that Firestore rejects independent of what is stored.
 * @throws ValidationError that names the document and what is wrong
 */
export function assertWritable(writes: readonly Write[]): void {
  for (const write of writes) {
    const problem = pathProblem(write.path) ?? (write.kind === "delete" ? undefined : fieldsProblem(write));
    if (problem !== undefined) throw new ValidationError(`Firestore would reject ${brief(write.path)}: ${problem}`);
  }
}

/**
 * Rejects a document that is too large once a write is merged into it.
 * @throws ValidationError
 */
export function assertDocumentFits(path: string, fields: Fields): void {
  if (documentBytes(path, fields) <= MAX_DOCUMENT_BYTES) return;
  throw new ValidationError(`Firestore would reject ${brief(path)}: the document is larger than 1 MiB`);
}

/** The size of a document as Firestore counts it, in bytes. */
export function documentBytes(path: string, fields: Fields): number {
  const name = path.split("/").reduce((sum, segment) => sum + textBytes(segment), 16);
  return name + 32 + valueBytes(fields);
}

/** Whether Firestore accepts this as an id of a document or collection. */
function isFirestoreId(id: string): boolean {
  const isReserved = id === "" || id === "." || id === ".." || id.includes("/") || /^__.*__$/s.test(id);
  return !isReserved && Buffer.byteLength(id) <= MAX_ID_BYTES && id.isWellFormed();
}

function pathProblem(path: string): string | undefined {
  const segments = path.split("/");
  return segments.length % 2 === 0 && segments.every(isFirestoreId) ? undefined : "its path is not valid";
}

function fieldsProblem({ kind, path, fields }: Exclude<Write, { kind: "delete" }>): string | undefined {
  if (kind === "update" && Object.keys(fields).length === 0) return "the update has no fields";
  const problem = valueProblem(fields, "", 0);
  if (problem !== undefined) return problem;
  return documentBytes(path, fields) > MAX_DOCUMENT_BYTES ? "the document is larger than 1 MiB" : undefined;
}

/** @param path the value's location: the names of the fields around it, joined by dots */
function valueProblem(value: Field, path: string, depth: number): string | undefined {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) return `${fieldAt(path)} has a lone surrogate`;
      return Buffer.byteLength(value) > MAX_VALUE_BYTES ? `${fieldAt(path)} is too long` : undefined;
    case "number":
    case "boolean":
      return undefined;
    case "object":
      break;
    default:
      return `${fieldAt(path)} is ${typeof value}`;
  }
  if (value === null) return undefined;
  if (value instanceof Date)
    return isStorableTime(value) ? undefined : `${fieldAt(path)} is not a time in the years 1 to 9999`;
  if (depth > MAX_DEPTH) return `${fieldAt(path)} is nested more than ${MAX_DEPTH} levels deep`;
  if (Array.isArray(value)) {
    if (value.some(Array.isArray)) return `${fieldAt(path)} is a list within a list`;
    return firstProblem(value, (each) => valueProblem(each, path, depth + 1));
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return `${fieldAt(path)} is an object of a class`;
  return firstProblem(Object.entries(value), ([name, each]) => {
    const below = path === "" ? name : `${path}.${name}`;
    return nameProblem(name, below) ?? valueProblem(each, below, depth + 1);
  });
}

function fieldAt(path: string): string {
  return path === "" ? "the document" : `the field ${brief(path)}`;
}

function nameProblem(name: string, path: string): string | undefined {
  if (name === "") return "a field has no name";
  if (/^__.*__$/s.test(name)) return `the field name ${brief(name)} is reserved`;
  if (!name.isWellFormed()) return `the field name ${brief(name)} has a lone surrogate`;
  // The emulator reads it as another character in an update's mask, and then ignores the field.
  if (name.includes("\r")) return `the field name ${brief(name)} has a carriage return`;
  // Firestore's client library finds such a name in every object, and takes it for a field that the update sets twice.
  if (name in Object.prototype) return `the field name ${brief(name)} is a property of every JavaScript object`;
  return Buffer.byteLength(path) > MAX_FIELD_PATH_BYTES ? `the field name ${brief(path)} is too long` : undefined;
}

function firstProblem<T>(items: readonly T[], problemOf: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const problem = problemOf(item);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function valueBytes(value: Field): number {
  if (typeof value === "string") return textBytes(value);
  if (typeof value === "boolean" || value === null) return 1;
  if (typeof value !== "object" || value instanceof Date) return 8;
  if (value instanceof Uint8Array) return value.length;
  // The emulator counts an empty list or map as one byte.
  let sum = 0;
  if (Array.isArray(value)) for (const each of value) sum += valueBytes(each);
  else for (const [name, each] of Object.entries(value)) sum += textBytes(name) + valueBytes(each);
  return sum || 1;
}

function textBytes(text: string): number {
  return Buffer.byteLength(text) + 1;
}

function brief(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
