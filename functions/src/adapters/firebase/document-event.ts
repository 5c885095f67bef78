/** Parses a document's change from an Eventarc event, without Firestore's client library. */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { ValidationError } from "../../domain/errors.js";
import { Document, type Value } from "../../generated/cloud/google/firestore/v1/document.js";
import type { Timestamp } from "../../generated/cloud/google/protobuf/timestamp.js";
import type { Snapshot } from "../../ports.js";
import { snapshotFrom } from "./firestore-values.js";
import { strictly } from "./strict-utf8.js";

interface Change {
  before: Snapshot | undefined;
  after: Snapshot | undefined;
}

/** A document as JSON, as Firestore's REST interface writes it. */
interface JsonDocument {
  name: string;
  fields?: { [name: string]: JsonValue };
  updateTime: string;
}

type JsonValue = { [kind: string]: unknown };

/** The tags of google.events.cloud.firestore.v1.DocumentEventData: the document after and before the change, both as bytes. */
const VALUE_TAG = (1 << 3) | 2;
const OLD_VALUE_TAG = (2 << 3) | 2;

const decode = strictly(Document.decode);

/**
 * The document before and after the change.
 * @param data protobuf as the cloud and the emulators send it, or JSON as local runs do
 * @throws ValidationError if it is neither
 */
export function changeIn(data: unknown): Change {
  try {
    const { value, oldValue } =
      data instanceof Uint8Array ? documentsIn(data) : (data as ReturnType<typeof documentsIn>);
    if (!value && !oldValue) throw new Error("it has neither a value nor an old value");
    const snapshotIn = (document: Uint8Array | JsonDocument | undefined) =>
      document && snapshotFrom(document instanceof Uint8Array ? decode(Buffer.from(document)) : documentFrom(document));
    return { before: snapshotIn(oldValue), after: snapshotIn(value) };
  } catch (cause) {
    throw new ValidationError("the event does not contain a document change", { cause });
  }
}

function documentsIn(data: Uint8Array) {
  const found: { value?: Uint8Array | JsonDocument; oldValue?: Uint8Array | JsonDocument } = {};
  const reader = new BinaryReader(data);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === VALUE_TAG) found.value = reader.bytes();
    else if (tag === OLD_VALUE_TAG) found.oldValue = reader.bytes();
    else reader.skip(tag & 7);
  }
  return found;
}

function documentFrom({ name, fields = {}, updateTime }: JsonDocument): Document {
  return { name, fields: valuesFrom(fields), createTime: undefined, updateTime: timestampFrom(updateTime) };
}

function valuesFrom(fields: { [name: string]: JsonValue }): { [name: string]: Value } {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, valueFrom(value)]));
}

function valueFrom(json: JsonValue): Value {
  const [[kind = "", value] = []] = Object.entries(json);
  return { valueType: { $case: kind, [kind]: contentsOf(kind, value) } as Value["valueType"] };
}

function contentsOf(kind: string, value: unknown): unknown {
  switch (kind) {
    case "timestampValue":
      return timestampFrom(String(value));
    case "doubleValue":
      return Number(value);
    case "mapValue":
      return { fields: valuesFrom((value as JsonDocument).fields ?? {}) };
    case "arrayValue":
      return { values: ((value as { values?: JsonValue[] }).values ?? []).map(valueFrom) };
    default:
      return value;
  }
}

function timestampFrom(text: string): Timestamp {
  const milliseconds = Date.parse(text);
  if (Number.isNaN(milliseconds)) throw new Error(`${text} is not a time`);
  const [, fraction = ""] = /\.(\d+)/.exec(text) ?? [];
  return { seconds: String(Math.floor(milliseconds / 1000)), nanos: Number(fraction.padEnd(9, "0").slice(0, 9)) };
}
