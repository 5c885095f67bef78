/** Converts Firestore's wire format to and from the documents of the ports. */
import type { Document, Value } from "../../generated/cloud/google/firestore/v1/document.js";
import type { Timestamp } from "../../generated/cloud/google/protobuf/timestamp.js";
import type { Field, Fields, Snapshot } from "../../ports.js";

const NANOS_PER_MS = 1_000_000;

/** The full name of a document; no project or database has a slash in its name. */
const NAME = /^projects\/[^/]+\/databases\/[^/]+\/documents\/(.+)$/s;

/** A value that only other programs write: bytes, geo points, references. Our schemas reject it. */
class ForeignValue {
  constructor(readonly kind: string | undefined) {}
}

/** @throws Error if the document does not exist */
export function snapshotFrom({ name, fields, updateTime }: Document): Snapshot {
  const [, path] = NAME.exec(name) ?? [];
  if (path === undefined || !updateTime)
    throw new Error(`${name || "a document without a name"} has no path or version`);
  return { path, fields: fieldsFrom(fields), version: versionFrom(updateTime) };
}

function fieldsFrom(fields: { [name: string]: Value }): Fields {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, fieldFrom(value)]));
}

function fieldFrom({ valueType }: Value): Field {
  switch (valueType?.$case) {
    case "stringValue":
      return valueType.stringValue;
    case "timestampValue":
      return dateFrom(valueType.timestampValue);
    case "integerValue":
      return Number(valueType.integerValue);
    case "doubleValue":
      return valueType.doubleValue;
    case "booleanValue":
      return valueType.booleanValue;
    case "nullValue":
      return null;
    case "mapValue":
      return fieldsFrom(valueType.mapValue.fields);
    case "arrayValue":
      return valueType.arrayValue.values.map(fieldFrom);
    default:
      // The schemas reject it, since it is an instance of a class.
      return new ForeignValue(valueType?.$case) as unknown as Field;
  }
}

export function valuesOf(fields: Fields): { [name: string]: Value } {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, valueFor(field)]));
}

export function valueFor(field: Field): Value {
  return { valueType: valueTypeFor(field) };
}

function valueTypeFor(field: Field): NonNullable<Value["valueType"]> {
  switch (typeof field) {
    case "string":
      return { $case: "stringValue", stringValue: field };
    case "boolean":
      return { $case: "booleanValue", booleanValue: field };
    case "number":
      // Firestore's integers have no -0.
      if (Number.isSafeInteger(field) && !Object.is(field, -0)) {
        return { $case: "integerValue", integerValue: String(field) };
      }
      return { $case: "doubleValue", doubleValue: field };
    default:
  }
  if (field === null) return { $case: "nullValue", nullValue: 0 };
  if (field instanceof Date) return { $case: "timestampValue", timestampValue: timestampOf(field) };
  if (Array.isArray(field)) return { $case: "arrayValue", arrayValue: { values: field.map(valueFor) } };
  return { $case: "mapValue", mapValue: { fields: valuesOf(field) } };
}

function dateFrom({ seconds, nanos }: Timestamp): Date {
  return new Date(Number(seconds) * 1000 + Math.round(nanos / NANOS_PER_MS));
}

function timestampOf(date: Date): Timestamp {
  const seconds = Math.floor(date.getTime() / 1000);
  return { seconds: String(seconds), nanos: (date.getTime() - seconds * 1000) * NANOS_PER_MS };
}

/** The version of a document with this update time, in the form that every build stores. */
export function versionFrom({ seconds, nanos }: Timestamp): string {
  return `${seconds}.${nanos}`;
}

export function timestampOfVersion(version: string): Timestamp {
  const [seconds = "0", nanos = "0"] = version.split(".");
  return { seconds, nanos: Number(nanos) };
}
